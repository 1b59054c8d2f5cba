"""Points of earlier calibrations on other images."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jobs.tune import Tuning, tune
from jobs.tune_document import tune_document
from jobs.tune_earlier import SCHEMA_VERSION, EarlierPoint, earlier_points, lasting_digest, read_earlier
from jobs.tune_settings import TuneSettings
from jobs.tune_view import tune_view
from mue_model.config import ConfigError, ExitConfig
from mue_model.model_names import model_facts
from mue_model.tuning.proposals import Proposals

FACTS = model_facts("demo")
Edit = Callable[[dict[str, Any]], None]


def document_of(kept: dict[str, float], *, images: Sequence[str] = ("there",)) -> dict[str, Any]:
    """A tune.json with so much kept by each point, at a cost that rises with its place."""
    points = [
        {
            "name": name,
            "exits": ExitConfig(image=0.9 + place / 1000).model_dump(mode="json"),
            "screened": {"kept": share, "cost": 0.5} if name.startswith("exits") else None,
            "kept": share,
            "net_work_share": (place + 1) / 100,
            "flops_with_checks_share": (100 - place) / 100,
        }
        for place, (name, share) in enumerate(kept.items())
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "model_digest": FACTS.digest,
        "data": {"image_digests": list(images), "rows": {"caption": 9}},
        "points": points,
        "times": {"exits 1": 1.5},
    }


@pytest.fixture
def found_in(tmp_path: Path) -> Callable[..., Proposals]:
    """What is proposed from documents, read as files."""

    def propose(settings: TuneSettings, *documents: dict[str, Any]) -> Proposals:
        paths = [tmp_path / f"{number}.json" for number in range(len(documents))]
        for path, document in zip(paths, documents, strict=True):
            path.write_text(json.dumps(document), "utf-8")
        named = settings.model_copy(update={"points_of": tuple(map(str, paths))})
        return earlier_points(named, read_earlier(named, FACTS), frozenset({"here", "and here"}))

    return propose


def settings_of(**given: Any) -> TuneSettings:
    """Of captions alone."""
    return TuneSettings(shards=("val",), tasks=("caption",), **given)


def names(found: Any) -> list[str]:
    """What the front's points were called."""
    return [point.name for point in found.front]


def test_what_kept_most_at_its_cost_is_run_and_most_of_it_near_what_is_asked(
    found_in: Callable[..., Proposals],
) -> None:
    kept = {"full depth": 1.0, "constant 1": 0.8, "constant 1/2/1": 0.98, "constant 2/1/1": 0.96}
    kept |= {f"exits {number}": share for number, share in enumerate((0.95, 0.98, 0.975, 0.99, 0.996, 0.997, 0.999), 1)}
    document = document_of(kept)
    asked = settings_of(points=4, fast_quality=0.97)
    found = found_in(asked, document)
    assert names(found) == ["exits 2", "exits 4", "exits 5", "exits 6"], "1 keeps too little, 3 less than 2"
    assert list(found.constants) == [(1, 2, 1)]
    assert found.screened == 7
    first = found.front[0]
    assert isinstance(first, EarlierPoint)
    assert (first.quality, first.spent_share, first.document_sha256) == (0.98, 0.06, lasting_digest(document))
    dearest_first = found_in(settings_of(points=4, fast_quality=0.97, by="flops"), document)
    assert names(dearest_first) == ["exits 7"], "by FLOPs the last is the cheapest of all, and keeps most"


def test_points_of_two_calibrations_compete_and_the_same_one_runs_once(found_in: Callable[..., Proposals]) -> None:
    one, two = document_of({"exits 1": 0.98, "exits 2": 0.99}), document_of({"exits 1": 0.985, "exits 2": 0.98})
    found = found_in(settings_of(), one, two)
    assert found.screened == 2, "their thresholds are the same"
    assert {point.quality for point in found.front} == {0.98}, "what it kept less often flatters it less"


def test_times_are_no_part_of_a_documents_name() -> None:
    document = document_of({"exits 1": 0.98})
    assert lasting_digest(document) == lasting_digest(document | {"times": {}})
    assert lasting_digest(document) != lasting_digest(document | {"points": []})


def test_what_nobody_kept_is_refused(found_in: Callable[..., Proposals]) -> None:
    with pytest.raises(ConfigError, match=r"--points-of .*0\.json: no point kept 97\.0% there.*ask for less"):
        found_in(settings_of(), document_of({"exits 1": 0.9}))


def test_images_that_found_the_points_are_refused_though_they_be_a_few(found_in: Callable[..., Proposals]) -> None:
    some = document_of({"exits 1": 0.98}, images=["there", "here"])
    with pytest.raises(ConfigError, match=r"--points-of .*1\.json: 1 of these 2 images, or exact copies, found its"):
        found_in(settings_of(), document_of({"exits 1": 0.98}), some)


def another_schema(document: dict[str, Any]) -> None:
    """Of a release that did not name its images."""
    document["schema_version"] = 5


def another_model(document: dict[str, Any]) -> None:
    """Other weights."""
    document["model_digest"] = "0" * 64


def another_task(document: dict[str, Any]) -> None:
    """Two tasks."""
    document["data"]["rows"] = {"caption": 9, "entailment": 9}


def no_images(document: dict[str, Any]) -> None:
    """As no calibration writes it."""
    del document["data"]["image_digests"]


def a_quality_in_words(document: dict[str, Any]) -> None:
    """As no calibration writes it."""
    document["points"][0]["kept"] = "most"


def no_cost(document: dict[str, Any]) -> None:
    """As no calibration writes it."""
    document["points"][0]["net_work_share"] = None


def another_depth(document: dict[str, Any]) -> None:
    """Of a model of three layers."""
    document["points"][0]["exits"]["image"] = [0.9, 0.9, 0.9]


def nothing_of_a_point(document: dict[str, Any]) -> None:
    """As no calibration writes it."""
    del document["points"][0]["kept"]


def a_threshold_that_is_none(document: dict[str, Any]) -> None:
    """As no calibration writes it."""
    document["points"][0]["exits"]["image"] = "deep"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (another_schema, f"no tune.json of schema {SCHEMA_VERSION}"),
        (another_model, "calibrated for other weights than those of 'demo'"),
        (another_task, "give --tasks caption,entailment"),
        (no_images, "not as `mue tune` wrote it: KeyError"),
        (a_quality_in_words, "not as `mue tune` wrote it: ValueError"),
        (no_cost, "not as `mue tune` wrote it: TypeError"),
        (another_depth, "not as `mue tune` wrote it: .*exits.image has 3 thresholds, but the model has 6 layers"),
        (nothing_of_a_point, "not as `mue tune` wrote it: KeyError"),
        (a_threshold_that_is_none, "not as `mue tune` wrote it"),
    ],
)
def test_a_document_that_does_not_suit_is_refused(tmp_path: Path, edit: Edit, said: str) -> None:
    document = document_of({"exits 1": 0.98})
    path = tmp_path / "tune.json"
    path.write_text(json.dumps(document), "utf-8")
    assert [point.name for point in read_earlier(settings_of(points_of=[str(path)]), FACTS)[str(path)].points] == [
        "exits 1"
    ]
    edit(document)
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ConfigError, match=f"--points-of .*tune.json: .*{said}"):
        read_earlier(settings_of(points_of=[str(path)]), FACTS)


@pytest.mark.parametrize("content", ["", "[]", "{}", None])
def test_what_is_no_tune_json_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tune.json").write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=r"no tune\.json"):
        read_earlier(settings_of(points_of=[str(tmp_path / "tune.json")]), FACTS)


def test_points_run_again_on_other_images(
    tuned: Tuning, tune_settings: TuneSettings, labelled_hard: Path, tmp_path: Path
) -> None:
    """Nothing is screened; the points' exits are those that were found, and the document tells whose they are."""
    before = tune_document(tuned, tune_settings, FACTS)
    path = tmp_path / "tune.json"
    path.write_text(json.dumps(before), "utf-8")
    given = {"points_of": (str(path),), "fast_quality": 0.1, "min_quality": 0.2}
    with pytest.raises(ConfigError, match=r"tune\.json: 12 of these 12 images, or exact copies, found its points"):
        tune(tune_settings.model_copy(update=given | {"images": 12}), FACTS)
    settings = tune_settings.model_copy(update=given | {"shards": (str(labelled_hard),)})
    steps: list[str] = []
    found = tune(settings, FACTS, lambda what, *_: steps.append(what))
    assert {what.split()[0] for what in steps} == {"reading", "running"}
    exits = {point.name: point.exits for point in tuned.points}
    document = tune_document(found, settings, FACTS)
    assert document["points_of"] == [lasting_digest(before)]
    assert document["data"]["images_screened"] == {"caption": 0, "entailment": 0}
    images = {hashlib.sha256(image.encode()).hexdigest()[:16] for image in found.asked.images}
    assert set(document["data"]["image_digests"]) == images
    assert not images & set(before["data"]["image_digests"])
    again = [point for point in document["points"] if point["earlier"]]
    assert again
    for point in again:
        assert point["screened"] is None
        assert ExitConfig.model_validate(point["exits"]) == exits[point["earlier"]["point"]]
        assert point["earlier"]["document_sha256"] == lasting_digest(before)
    assert not {"points_of", "shards", "screen_rows", "decoder_signal"} & document["settings"].keys()
    assert found.verdicts
    console = Console(file=io.StringIO(), width=300)
    console.print(tune_view(found, settings))
    assert isinstance(console.file, io.StringIO)
    assert str(path) in console.file.getvalue()
