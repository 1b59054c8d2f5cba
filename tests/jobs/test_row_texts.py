from __future__ import annotations

from typing import Any

import pytest

from jobs.row_texts import described, texts_in, texts_of
from pipeline.row_field import RowField

MEMBERS: dict[str, Any] = {
    "image_suffix": "jpg",
    "offset": 512,
    "txt": "a bear\n\n a brown bear \n",
    "json": {
        "captions": ["a bear", "", 3, "a brown bear"],
        "level": 4,
        "url": "http://x/" + "y" * 80,
        "ve": [{"label": "neutral"}, {"label": "entailment"}, {}],
        "deep": {"er": {"still": "a text\nof two lines"}},
    },
    "seg.json": {"n": 1},
    "big.json": {"omitted_bytes": 70000},
}


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("json:captions", ["a bear", "a brown bear"]),
        ("json:captions[*]", ["a bear", "a brown bear"]),
        ("json:deep.er.still", ["a text\nof two lines"]),
        ("txt", ["a bear", " a brown bear "]),
        ("json:level", []),
        ("json:deep", []),
    ],
)
def test_texts_are_a_list_a_text_or_lines_and_never_blank(field: str, texts: list[str]) -> None:
    assert texts_of(RowField.parse(field), MEMBERS) == texts


def test_texts_are_found_among_values_and_in_lists_of_them() -> None:
    assert texts_in(["a", ["b", 3, ""], None, {"c": "d"}, "two\nlines"]) == ["a", "b", "two\nlines"]


def test_the_fields_of_a_row_are_named_as_they_are_asked_for() -> None:
    text = described(MEMBERS)
    for field in ("txt = ", "json:captions = [4 entries]", "json:level = 4", "seg.json:n = 1"):
        assert field in text
    assert "big.json (left out of the row: 70,000 bytes)" in text
    assert "y" * 60 not in text
    assert "offset" not in text
    assert "3 more" in described({"json": {str(n): n for n in range(33)}})
    assert described({"txt": "a", "json": {"refs": ["a", "b"]}}).startswith("json:refs = [2 texts], txt = ")
    assert described({"offset": 0}) == "none: the shards hold images alone"
