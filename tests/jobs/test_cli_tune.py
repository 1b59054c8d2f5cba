"""`mue tune` as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from jobs.tune_settings import TuneSettings
from mue_model.model_folder import read_model_folder
from mue_model.model_names import model_facts

Mue = Callable[..., Result]


def test_it_tunes_a_model_in_place(mue: Mue, labelled: Path, tmp_path: Path) -> None:
    shipped, folder = model_facts("demo").folder, tmp_path / "model"
    assert shipped is not None
    shutil.copytree(shipped, folder)
    small = ["--images", "12", "--rows", "30", "--screen-rows", "12", "--points", "1", "--group-size", "8"]
    choice = ["--max-flops", "0.6", "--fast-quality", "0.3", "--tasks", "caption", "--write", "--default", "fast"]
    done = mue("tune", folder, labelled, "--output", tmp_path / "tuned", *small, *choice, "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "tuned" / "tune.json").read_text("utf-8"))
    assert (tmp_path / "tuned" / "tune.png").stat().st_size > 10_000
    assert (tmp_path / "tuned" / "tune.svg").is_file()
    points = {point["name"]: point for point in document["points"]}
    chosen = points[document["presets"]["balanced"]]
    assert chosen["flops_with_checks_share"] <= 0.6
    after = read_model_folder(folder)
    assert after.exits("balanced", "caption").model_dump(mode="json") == chosen["exits"]
    assert after.exits("default", "caption") == after.exits("fast", "caption")
    assert after.exits("balanced", "entailment") == model_facts("demo").exits("balanced", "entailment"), "not tuned"
    assert document["certificate"] is None
    assert "presets of" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "caption,vqa"], "mue tune: tasks"),
        (["--min-quality", "1.5"], "mue tune: min_quality"),
        (["--min-quality", "0.9", "--max-flops", "0.5"], "give one of them"),
        (["--default", "fast"], "give --write too"),
        (["--default", "swift", "--write"], "--default 'swift'"),
        (["--images", "3"], "a calibration needs 10 or more"),
        (["--points-of", "nowhere.json"], "--points-of nowhere.json: no tune.json that can be read"),
    ],
)
def test_wrong_options_are_usage_errors(
    mue: Mue, labelled: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = mue("tune", "demo", labelled, "--output", tmp_path / "tuned", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_calibration_is_not_overwritten(mue: Mue, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "tune.json").write_text("found before", "utf-8")
    done = mue("tune", "demo", labelled, "--output", tmp_path, "--points-of", tmp_path / "tune.json")
    assert done.exit_code == 2
    assert f"holds a calibration already, {tmp_path}/tune.json; give another folder" in done.stderr
    assert (tmp_path / "tune.json").read_text("utf-8") == "found before"


@pytest.mark.parametrize(
    ("command", "interrupted"),
    [(("tune", "--output", "tuned"), "jobs.tune.tune"), (("model", "eval"), "jobs.trial.run_trial")],
)
def test_an_interrupted_measurement_does_not_say_that_it_resumes(
    mue: Mue,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    interrupted: str,
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupted, interrupt)
    monkeypatch.chdir(tmp_path)
    done = mue(*command, "demo", labelled)
    assert done.exit_code == 130
    assert "interrupted; nothing of it is kept; the same command begins anew" in done.stderr
    assert "resumes" not in done.stderr


def test_missing_shards_and_places_are_usage_errors(mue: Mue, labelled: Path, tmp_path: Path) -> None:
    assert mue("tune", "demo", tmp_path / "nowhere.tar", "--output", tmp_path / "tuned").exit_code == 2
    (tmp_path / "file").write_text("")
    done = mue("tune", "demo", labelled, "--output", tmp_path / "file")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_help_tells_every_setting(mue: Mue) -> None:
    text = mue("tune", "--help").stdout
    assert set(TuneSettings.model_fields) - {"shards"} <= {
        word.strip("-").replace("-", "_") for word in text.split() if word.startswith("--")
    }


def test_presets_that_cannot_be_written_do_not_take_the_figures_with_them(
    mue: Mue, labelled: Path, tmp_path: Path
) -> None:
    model, output = tmp_path / "model", tmp_path / "tuned"
    shutil.copytree(model_facts("demo").folder, model)
    (model / ".exits.json.partial").mkdir()
    small = ["--tasks", "caption", "--rows", 12, "--screen-rows", 6, "--points", 1, "--group-size", 8]
    done = mue("tune", model, labelled, "--output", output, "--write", *small)
    assert done.exit_code == 2
    assert f"were not written, but all figures are in {output}/tune.json" in done.stderr
    assert json.loads((output / "tune.json").read_text())["points"]
