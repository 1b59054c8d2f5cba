"""What --write makes of a model folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.tune import Tuning
from jobs.tune_document import tune_document
from jobs.tune_presets import write_presets
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, ExitConfig
from mue_model.model_folder import ModelFacts, presets_document, read_model_folder
from mue_model.model_names import model_facts

FACTS = model_facts("demo")
OWN = ExitConfig(image=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> ModelFacts:
    """A copy of the model that ships, with presets of somebody's own."""
    assert FACTS.folder is not None
    shutil.copytree(FACTS.folder, tmp_path / "model")
    presets = {"exact": ExitConfig(), "own": OWN, "balanced": OWN}
    (tmp_path / "model" / "exits.json").write_text(json.dumps(presets_document(presets, "own")), "utf-8")
    return read_model_folder(tmp_path / "model")


def calibrations(facts: ModelFacts) -> dict[str, dict[str, Any]]:
    """Where the presets come from, by tasks and name."""
    assert facts.folder is not None
    found: dict[str, dict[str, Any]] = json.loads((facts.folder / "exits.json").read_text("utf-8"))["calibration"][
        "tasks"
    ]
    return found


@pytest.fixture
def chosen(tuned: Tuning) -> Tuning:
    """With a preset for sure."""
    return replace(tuned, chosen={"balanced": tuned.points[3], "fast": tuned.points[2]})


def test_what_is_tuned_for_one_task_is_that_tasks(
    chosen: Tuning, tune_settings: TuneSettings, folder: ModelFacts
) -> None:
    assert folder.folder is not None
    for task, point in (("caption", 3), ("entailment", 2)):
        asked = replace(chosen.asked, by_task={task: chosen.asked.by_task[task]})
        one = replace(chosen, asked=asked, chosen={"fast": chosen.points[point]})
        document = tune_document(one, tune_settings, folder)
        assert write_presets(one, tune_settings, folder, document, default="fast") == (["fast"], "fast")
    after = read_model_folder(folder.folder)
    assert after.presets["fast"] == after.presets["default"] == ExitConfig(), "vqa was never tuned"
    for task, point in (("caption", 3), ("entailment", 2)):
        assert after.exits("fast", task) == after.exits("default", task) == chosen.points[point].exits
        assert after.exits("own", task) == OWN
    assert set(calibrations(folder)) == {"caption", "entailment"}

    document = tune_document(chosen, tune_settings, folder)
    assert write_presets(chosen, tune_settings, folder, document, default=None) == (["balanced", "fast"], "fast")
    assert read_model_folder(folder.folder).exits("fast", "caption") == chosen.points[2].exits, "both, and the last"
    assert set(calibrations(folder)) == {"caption,entailment"}, "what it overruled is told of no more"


def test_presets_are_written_beside_others_and_the_digest_stays(
    chosen: Tuning, tune_settings: TuneSettings, folder: ModelFacts
) -> None:
    document = tune_document(chosen, tune_settings, folder)
    assert write_presets(chosen, tune_settings, folder, document, default=None) == (["balanced", "fast"], "own")
    assert folder.folder is not None
    after = read_model_folder(folder.folder)
    assert dict(after.presets) == {
        "exact": ExitConfig(),
        "own": OWN,
        "balanced": chosen.points[3].exits,
        "fast": chosen.points[2].exits,
        "default": OWN,
    }
    assert after.digest == folder.digest
    calibration = json.loads((folder.folder / "exits.json").read_text("utf-8"))["calibration"]
    assert calibration["model_digest"] == folder.digest
    own = calibration["tasks"]["caption,entailment"]["balanced"]
    assert own["data_digest"] == chosen.asked.digest
    assert own["point"] == chosen.points[3].name
    assert own["settings"]["by"] == tune_settings.by
    write_presets(chosen, tune_settings, folder, document, default="fast")
    assert read_model_folder(folder.folder).presets["default"] == chosen.points[2].exits


def test_times_do_not_enter_the_calibrations_digest(
    chosen: Tuning, tune_settings: TuneSettings, folder: ModelFacts
) -> None:
    assert folder.folder is not None
    found = []
    for times in ({}, {"other": 1}):
        document = {**tune_document(chosen, tune_settings, folder), "times": times}
        write_presets(chosen, tune_settings, folder, document, default=None)
        found.append((folder.folder / "exits.json").read_bytes())
    assert found[0] == found[1]


def test_nothing_certified_writes_no_preset(tuned: Tuning, tune_settings: TuneSettings, folder: ModelFacts) -> None:
    none = replace(tuned, chosen={"balanced": None, "fast": None})
    document = tune_document(none, tune_settings, folder)
    assert document["presets"] == {"balanced": None, "fast": None}
    assert write_presets(none, tune_settings, folder, document, default="fast") == ([], "own"), "there is no fast"
    assert folder.folder is not None
    assert read_model_folder(folder.folder).presets["balanced"] == OWN
    assert calibrations(folder) == {}, "nothing is certified, so no certificate stands beside what was there"


def test_a_certificate_stands_beside_what_it_certifies(
    chosen: Tuning, tune_settings: TuneSettings, folder: ModelFacts
) -> None:
    plain = tune_settings.model_copy(update={"certify": None})
    before = replace(chosen, verdicts=None)
    write_presets(before, plain, folder, tune_document(before, plain, folder), default=None)
    one = replace(chosen, chosen={"balanced": chosen.points[2], "fast": None})
    write_presets(one, tune_settings, folder, tune_document(one, tune_settings, folder), default=None)
    found = calibrations(folder)["caption,entailment"]
    assert found["fast"]["certificate"] is None
    assert found["balanced"]["certificate"]["alpha"] == tune_settings.certify


def test_what_cannot_be_written_is_said(chosen: Tuning, tune_settings: TuneSettings, folder: ModelFacts) -> None:
    document = tune_document(chosen, tune_settings, folder)
    assert folder.folder is not None
    before = (folder.folder / "exits.json").read_bytes()
    with pytest.raises(ConfigError, match=r"--default 'swift': .* presets balanced, exact, fast, own"):
        write_presets(chosen, tune_settings, folder, document, default="swift")
    assert (folder.folder / "exits.json").read_bytes() == before
    with pytest.raises(ConfigError, match="there is nowhere to write presets"):
        write_presets(chosen, tune_settings, model_facts("seeded"), document, default=None)
