"""Every point is run twice over all questions; its trial is whole and its time the shorter one."""

from __future__ import annotations

from jobs.free_runs import free_runs
from jobs.tune import Tuning
from mue_model.config import ExitConfig
from mue_model.model_names import model_facts
from mue_model.tuning.family import constant_depth


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
    assert 0 < found["deep"].seconds <= found["deep"].trial.model_s
    assert found["shallow"].trial.all.executed_share < found["deep"].trial.all.executed_share == 1
