"""A whole calibration of the model that ships, on a few drawn images."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from jobs.references import DEFAULT, field_references
from jobs.trial import run_trial
from jobs.tune import SLACK, Tuning, sought, tune
from jobs.tune_document import tune_document
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, EngineConfig, ExitConfig, GenerationConfig
from mue_model.loading import build_engine
from mue_model.metrics.entailment import LabelAccuracy
from mue_model.model_names import model_facts
from mue_model.tuning.family import constant_depth

FACTS = model_facts("demo")


def test_full_depth_and_constant_depths_stand_beside_the_front(tuned: Tuning) -> None:
    names = [point.name for point in tuned.points]
    assert names[:6] == ["full depth", *(f"constant {depth}" for depth in range(1, 6))]
    by_stage = [f"constant {'/'.join(map(str, depths))}" for depths in tuned.proposals.constants]
    assert names[6:] == [*by_stage, *tuned.by_proposal]
    assert by_stage
    assert tuned.by_proposal
    assert [point.name for point in tuned.constants] == [*names[:6], *by_stage]
    for point, depths in zip(tuned.constants[6:], tuned.proposals.constants, strict=True):
        ran = [{stream: own.layers[stream] for stream in ("image", "text")} for own in point.tasks.values()]
        assert ran == [{"image": depths[0], "text": depths[1]}] * len(point.tasks)
    full, shallow = tuned.points[0], tuned.points[1]
    assert full.exits == ExitConfig()
    assert (full.kept, full.spent_share, full.time_share) == (1, 1, 1)
    assert shallow.exits == constant_depth(FACTS.config, 1)
    assert shallow.kept < 1, "one layer is too few"
    assert all(own.layers == {"image": 1, "text": 1, "decoder": 1} for own in shallow.tasks.values())
    assert tuned.proposals.screened > 100


def test_a_points_figures_are_those_of_a_run_of_its_own(tuned: Tuning) -> None:
    """FLOPs to the last digit; quality; layers."""
    point = tuned.points[-1]
    for task, own in point.tasks.items():
        engine = build_engine(FACTS, point.exits, FACTS.generation, EngineConfig(device="cpu", group_size=4))
        trial = run_trial(tuned.asked.by_task[task], engine, FACTS.config, field_references(DEFAULT), task=task)
        engine.close()
        scores = trial.all
        assert (own.rows, own.flops_executed, own.flops_full_same_length) == (
            scores.rows,
            scores.flops_executed,
            scores.flops_full_same_length,
        )
        assert own.flops_checks > 0
        if scores.captions is not None:
            assert own.quality == scores.captions.exact_match
        else:
            assert isinstance(scores.answers, LabelAccuracy)
            assert own.quality == scores.answers.accuracy
        assert own.layers["image"] == scores.depths.mean("image_layers_run")
        assert own.spent_share < 1
        assert 0 < own.net.executed <= own.flops_executed, "a job pays for nothing that its rows would not"
        assert 0 < own.net.checks <= own.flops_checks


def test_the_front_runs_with_the_exits_that_were_screened(tuned: Tuning) -> None:
    for name, proposal in tuned.by_proposal.items():
        run = next(point for point in tuned.points if point.name == name)
        assert run.exits == proposal.exits
    assert tuned.screened_rows == {"caption": 8, "entailment": 12}
    assert {task: len(own) for task, own in tuned.asked.by_task.items()} == {"caption": 16, "entailment": 66}


def test_the_same_settings_find_the_same(tuned: Tuning, tune_settings: TuneSettings) -> None:
    first = tune_document(tuned, tune_settings, FACTS)
    second = tune_document(tune(tune_settings, FACTS), tune_settings, FACTS)
    assert first.pop("times").keys() == second.pop("times").keys()
    assert json.dumps(first) == json.dumps(second)


def test_presets_keep_what_they_promise(tuned: Tuning, tune_settings: TuneSettings) -> None:
    certified = {verdict.name for verdict in tuned.verdicts or () if verdict.certified}
    assert certified, "a lenient bound is certified for something"
    for name, target in (("balanced", tune_settings.min_quality), ("fast", tune_settings.fast_quality)):
        chosen = tuned.chosen[name]
        good = [own for own in tuned.points if own.name in certified and own.kept >= target]
        assert (chosen in good) if good else chosen is None
        assert chosen is None or chosen.cost("work") == min(own.cost("work") for own in good)
    assert "full depth" not in certified


def test_a_model_that_has_nothing_right_is_refused(tune_settings: TuneSettings) -> None:
    with pytest.raises(ConfigError, match="task 'caption': none of 8 answers at full depth is right"):
        tune(tune_settings, model_facts("seeded"))


def test_beams_are_refused(tune_settings: TuneSettings) -> None:
    facts = replace(FACTS, generation=GenerationConfig(beams=2))
    with pytest.raises(ConfigError, match="decodes with 2 beams; only greedy texts are tuned"):
        tune(tune_settings, facts)


def test_most_points_are_run_where_they_are_wanted_if_the_screen_does_not_flatter(tune_settings: TuneSettings) -> None:
    settings = tune_settings.model_copy(update={"min_quality": 0.99, "fast_quality": 0.95})
    assert sought(settings, ["caption"]) == (pytest.approx(0.95 - SLACK), 0.99)
    for tasks in (["entailment"], ["caption", "entailment"]):
        assert sought(settings, tasks) == (pytest.approx(0.95 - SLACK), math.inf)
    assert sought(settings.model_copy(update={"max_flops": 0.5}), ["caption"]) == (0.0, math.inf)
