from __future__ import annotations

import io
import time
from typing import Any

import pytest
from PIL import Image

from mue_model.corpus.row import draw_row, facts_as_json
from mue_model.corpus.settings import CorpusSettings


@pytest.mark.parametrize("size", [96, 128, 480])
def test_a_row_is_a_picture_of_the_size_asked_for(size: int) -> None:
    row = draw_row(CorpusSettings(size=size), "train", 4)
    with Image.open(io.BytesIO(row.jpg)) as image:
        assert (image.format, image.size) == ("JPEG", (size, size))
    assert (row.facts["width"], row.facts["height"]) == (size, size)


def test_a_row_is_the_same_whatever_was_drawn_before() -> None:
    settings = CorpusSettings()
    first = draw_row(settings, "val", 9)
    for number in range(9):
        draw_row(settings, "val", number)
    assert draw_row(settings, "val", 9) == first


def test_keys_tell_shard_and_place() -> None:
    settings = CorpusSettings(rows_per_shard=30)
    assert [draw_row(settings, "train", number).key for number in (0, 29, 30)] == [
        "000000000",
        "000000029",
        "000010000",
    ]


def test_caption_is_the_first_reference_and_the_licence_is_in_every_row(documents: list[dict[str, Any]]) -> None:
    for document in documents:
        assert document["caption"] == document["references"][0]
        assert len(document["references"]) == 5
        assert document["license"] == "CC BY-SA 4.0"
        assert "OpenMoji" in document["attribution"]
        assert all(thing["openmoji"] for thing in document["objects"])


def test_nothing_is_hidden_too_much_and_what_stands_behind_is_seen_to() -> None:
    settings = CorpusSettings(levels=(5,))
    behind = 0
    for number in range(60):
        facts = draw_row(settings, "train", number).facts
        assert min(thing["visible"] for thing in facts["objects"]) >= 0.65
        if facts["family"] == "overlap":
            behind += 1
            assert facts["objects"][1]["visible"] <= 0.95
    assert behind > 3


def test_documents_are_compact_json() -> None:
    row = draw_row(CorpusSettings(), "test", 3)
    assert len(facts_as_json(row.facts)) < 8000


def test_thousands_of_rows_a_minute() -> None:
    settings = CorpusSettings()
    for number in range(20):
        draw_row(settings, "train", number)
    started = time.process_time()
    for number in range(20, 120):
        draw_row(settings, "train", number)
    rows_per_minute = 100 * 60 / (time.process_time() - started)
    assert rows_per_minute > 2000
