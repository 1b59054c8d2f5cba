"""From a spec to a plan, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.planning import prepare
from mue_model.config import ConfigError, EngineConfig, ExitConfig, GenerationConfig
from pipeline.plan import PlanError
from pipeline.spec import (
    ActorsConfig,
    AuditConfig,
    FiltersConfig,
    GenerationSection,
    InputsConfig,
    JobSpec,
    OutputConfig,
)

EMPTY_TAR = bytes(1024)


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., JobSpec]:
    """A job on two empty tars, with other settings if given."""
    for name in ("00000.tar", "00001.tar"):
        (tmp_path / name).write_bytes(EMPTY_TAR)
    urls = (str(tmp_path / "{00000..00001}.tar"),)
    return lambda **settings: JobSpec(
        **{
            "inputs": InputsConfig(urls=urls),
            "output": OutputConfig(url=str(tmp_path / "out")),
            "model": "seeded",
            **settings,
        },
    )


def test_the_plan_says_what_will_be_read_and_what_results_depend_on(spec: Callable[..., JobSpec]) -> None:
    job = prepare(spec(audit=AuditConfig(seed=7)))
    assert [(shard.shard_id, shard.rows) for shard in job.plan.shards] == [("000000-00000", 0), ("000001-00001", 0)]
    parts = job.plan.fingerprint_parts
    assert parts["model"]["untrained"] is True
    assert parts["model"]["digest"] == job.facts.digest
    assert parts["prompt"] == " what does the image describe?"
    assert parts["exits"] == job.facts.presets["default"].model_dump(mode="json")
    assert (parts["image_size"], parts["dtype"]) == (128, "float32")
    assert job.plan.audit_seed == 7


def test_what_cannot_change_a_row_does_not_change_the_fingerprint(spec: Callable[..., JobSpec], tmp_path: Path) -> None:
    same = spec(
        engine=EngineConfig(group_size=7, policy="wait_all", threads=3),
        actors=ActorsConfig(min=2, rows_per_call=3),
        output=OutputConfig(url=str(tmp_path / "elsewhere"), rows_per_part=1),
    )
    assert prepare(same).plan.fingerprint == prepare(spec()).plan.fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"exits": "exact"},
        {"exits": ExitConfig(image=0.5)},
        {"engine": EngineConfig(dtype="float64")},
        {"filters": FiltersConfig(min_side=8)},
    ],
    ids=["preset", "thresholds", "dtype", "filters"],
)
def test_what_can_change_a_row_changes_the_fingerprint(
    spec: Callable[..., JobSpec], settings: dict[str, object]
) -> None:
    assert prepare(spec(**settings)).plan.fingerprint != prepare(spec()).plan.fingerprint


def test_the_fingerprint_has_the_words_of_the_question_and_of_the_answers(spec: Callable[..., JobSpec]) -> None:
    inputs = spec().inputs.model_dump()

    def parts(task: str, **fields: str) -> Any:
        return prepare(spec(task=task, inputs={**inputs, "fields": fields})).plan.fingerprint_parts

    entailment = parts("entailment", hypothesis="json:ve[*].hypothesis", label="json:ve[*].label")
    assert (entailment["task"], entailment["prompt"]) == ("entailment", ' does the image describe " {text} "?')
    assert entailment["answers"] == {"entailment": " yes", "neutral": " maybe", "contradiction": " no"}
    assert entailment["fields"]["hypothesis"] == "json:ve[*].hypothesis"
    assert entailment == parts("entailment", hypothesis="json:ve[*].hypothesis"), "labels change no result"
    vqa, own = parts("vqa", question="txt"), parts("caption", prompt="txt")
    assert (vqa["prompt"], vqa["answers"], own["prompt"]) == (" {text}?", {}, " {text}")
    assert parts("caption")["limits"]["max_queries"] == 1000


def test_what_a_job_leaves_open_about_decoding_is_the_models_own(spec: Callable[..., JobSpec]) -> None:
    seeded, demo = prepare(spec()), prepare(spec(model="demo"))
    assert seeded.generation == GenerationConfig()
    assert demo.generation == demo.facts.generation != GenerationConfig()
    own = prepare(spec(model="demo", generation=GenerationSection(max_tokens=5)))
    assert own.generation == demo.facts.generation.model_copy(update={"max_tokens": 5})
    assert own.plan.fingerprint_parts["generation"] == own.generation.model_dump(mode="json")


def test_exits_that_do_not_fit_the_model_are_refused(spec: Callable[..., JobSpec]) -> None:
    with pytest.raises(ConfigError, match=r"exits = 'fast': model 'seeded' has the presets default, exact"):
        prepare(spec(exits="fast"))
    with pytest.raises(ConfigError, match=r"exits\.image has 2 thresholds, but the model has 6 layers"):
        prepare(spec(exits=ExitConfig(image=(0.5, 0.6))))


def test_a_missing_shard_is_named(spec: Callable[..., JobSpec], tmp_path: Path) -> None:
    job = spec()
    (tmp_path / "00001.tar").unlink()
    with pytest.raises(PlanError, match=r"00001\.tar \(not found\)"):
        prepare(job)
