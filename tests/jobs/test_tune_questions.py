"""Which questions a calibration asks, how they are halved, and what is refused."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.tune_questions import Asked, ask, image_of
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError
from mue_model.model_names import model_facts
from mue_model.rows import RowResult

FACTS = model_facts("demo")


def asked(shard: Path, **changes: Any) -> Asked:
    return ask(TuneSettings(shards=(str(shard),), **changes), FACTS)


def shard_of(path: Path, rows: int, **facts: Any) -> Path:
    """Pictures of one grey each, all with the same facts."""
    with tarfile.open(path, "w") as tar:
        for number in range(rows):
            picture = io.BytesIO()
            Image.fromarray(np.full((40, 40, 3), 90 + number, np.uint8)).save(picture, "PNG")
            for suffix, data in (("png", picture.getvalue()), ("json", json.dumps(facts).encode())):
                member = tarfile.TarInfo(f"row{number}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def test_every_image_is_in_one_half_whatever_is_asked_about_it(labelled: Path) -> None:
    found = asked(labelled)
    assert {image_of(question) for own in found.by_task.values() for question in own} == found.images
    assert len(found.images) == 16
    assert len(found.screened) == 8
    assert asked(labelled, seed=0).screened == found.screened != asked(labelled, seed=1).screened
    for task in found.by_task:
        screened = {image_of(question) for question in found.to_screen(task, 10**6)}
        assert screened == found.screened


def test_rows_are_bounded_by_whole_images(labelled: Path) -> None:
    everything = asked(labelled).by_task["entailment"]
    some = asked(labelled, rows=70)
    assert len(everything) == 96 > 70 >= len(some.by_task["entailment"]) > 60
    assert some.by_task["entailment"] != everything
    last = image_of(some.by_task["entailment"][-1])
    assert sum(image_of(question) == last for question in everything) == sum(
        image_of(question) == last for question in some.by_task["entailment"]
    )
    assert 6 <= len(some.to_screen("entailment", 13)) <= 13


def test_the_digest_is_that_of_what_is_asked(labelled: Path, tmp_path: Path) -> None:
    assert asked(labelled).digest == asked(labelled, seed=3, points=5).digest
    assert asked(labelled).digest != asked(labelled, tasks=("caption",)).digest
    one, two = (shard_of(tmp_path / f"{name}.tar", 12, captions=[name]) for name in ("a", "b"))
    assert asked(one, tasks=("caption",)).digest != asked(two, tasks=("caption",)).digest


def test_right_means_word_for_word_or_the_right_label(labelled: Path) -> None:
    found = asked(labelled)
    caption, hypothesis = found.by_task["caption"][0], found.by_task["entailment"][0]
    reference = found.references.of(caption.row.uid, caption.key, caption.members)[-1]
    assert found.is_right(caption, RowResult(uid="", text=reference))
    assert not found.is_right(caption, RowResult(uid="", text=f"{reference} indeed"))
    assert not found.is_right(caption, RowResult(uid=""))
    assert hypothesis.gold is not None
    assert found.is_right(hypothesis, RowResult(uid="", label=hypothesis.gold[0]))
    assert not found.is_right(hypothesis, RowResult(uid=""))


def test_copies_of_an_image_are_one_image(tmp_path: Path) -> None:
    path = shard_of(tmp_path / "a.tar", 12, captions=["a dog"])
    with tarfile.open(path) as once:
        members = [(member.name, file.read()) for member in once if (file := once.extractfile(member))]
    with tarfile.open(path, "w") as twice:
        for name, data in [*members, *((f"again-{name}", data) for name, data in members)]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            twice.addfile(member, io.BytesIO(data))
    found = asked(path, tasks=("caption",))
    assert len(found.by_task["caption"]) == 24
    assert len(found.images) == 12
    assert len(found.images_of("caption")) == 12


def test_too_few_images_are_refused(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task 'caption': 4 images .* but a calibration needs 10 or more"):
        asked(labelled, images=4)
    empty = tmp_path / "empty.tar"
    tarfile.open(empty, "w").close()
    with pytest.raises(ConfigError, match="task 'caption': 0 images"):
        asked(empty)


def test_a_task_without_labels_is_refused(tmp_path: Path) -> None:
    captions_only = shard_of(tmp_path / "a.tar", 12, captions=["a dog"])
    assert len(asked(captions_only, tasks=("caption",)).by_task["caption"]) == 12
    with pytest.raises(ConfigError, match="none of 12 queries can be asked"):
        asked(captions_only)
    without = shard_of(tmp_path / "b.tar", 12, other="a dog")
    with pytest.raises(ConfigError, match=r"task 'caption': 0 images .* no row has a text or a list of texts"):
        asked(without, tasks=("caption",))


def test_what_is_not_asked_is_counted(tmp_path: Path) -> None:
    pairs = [{"hypothesis": "a dog", "label": "neutral"}, {"hypothesis": 7, "label": "neutral"}]
    found = asked(shard_of(tmp_path / "a.tar", 12, captions=["a dog"], ve=pairs))
    assert len(found.by_task["entailment"]) == 12
    assert found.skipped == 12
