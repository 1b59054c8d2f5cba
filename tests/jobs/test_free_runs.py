"""Every point is run twice over all questions; its trial is whole and its time the shorter one."""

from __future__ import annotations

from pathlib import Path

from jobs.free_runs import free_runs
from jobs.tune import Tuning
from mue_model.config import ExitConfig
from mue_model.model import MueModel
from mue_model.model_names import model_facts
from mue_model.training.export import write_model_folder
from mue_model.tuning.family import constant_depth


def test_every_run_is_timed_the_other_way_round_each_time(tuned: Tuning) -> None:
    facts = model_facts("demo")
    points = {"deep": ExitConfig(), "shallow": constant_depth(facts.config, 1)}
    for rounds in (1, 3):
        found = free_runs(
            facts, points, tuned.asked.by_task["caption"][:2], tuned.asked.references,
            task="caption", group_size=1, rounds=rounds,
        )  # fmt: skip
        assert all(len(run.each_s) == rounds and run.seconds == min(run.each_s) > 0 for run in found.values())


def test_points_run_there_and_back(tuned: Tuning) -> None:
    facts, told = model_facts("demo"), []
    questions = tuned.asked.by_task["caption"][:6]
    points = {"deep": ExitConfig(), "shallow": constant_depth(facts.config, 2)}
    found = free_runs(
        facts,
        points,
        questions,
        tuned.asked.references,
        task="caption",
        group_size=4,
        keep=2,
        progress=told.append,
    )
    assert list(found) == ["deep", "shallow"]
    assert told == [6, 12, 18, 24]
    assert all(run.trial.all.rows == 6 and len(run.trial.answers) == 2 for run in found.values())
    assert 0 < found["deep"].seconds == min(found["deep"].each_s)
    assert found["shallow"].trial.all.executed_share < found["deep"].trial.all.executed_share == 1


def test_a_model_beside_runs_at_its_own_full_depth(tuned: Tuning, tmp_path: Path) -> None:
    facts = model_facts("demo")
    cut = facts.config.model_copy(update={"encoder_layers": 2, "decoder_layers": 2})
    write_model_folder(MueModel(cut), facts.processor, facts.generation, tmp_path / "cut", lambda _: "card")
    found = free_runs(
        facts, {"deep": ExitConfig()}, tuned.asked.by_task["caption"][:2], tuned.asked.references,
        task="caption", group_size=2, beside={"cut": model_facts(str(tmp_path / "cut"))},
    )  # fmt: skip
    assert list(found) == ["deep", "cut"]
    deep, beside = (own.trial.all for own in found.values())
    assert beside.executed_share == deep.executed_share == 1
    assert (deep.depths.sums["image_layers_run"], beside.depths.sums["image_layers_run"]) == (12, 4)
