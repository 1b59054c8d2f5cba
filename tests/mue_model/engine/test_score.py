"""Candidate scoring: the batch gives every row the reference's label, scores, depth and compute."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mue_model import costs, reference
from mue_model.config import BatchPolicy, EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.batch import BatchRunner
from mue_model.engine.engine import Engine
from mue_model.exits import CosineExit, Depths, ScriptedExit
from mue_model.loading import make_runner
from mue_model.model import MueModel
from mue_model.rows import Candidate, RowInput, RowResult

GENERATION = GenerationConfig()
CANDIDATES = (
    Candidate(label="entailment", ids=(7, 2)),
    Candidate(label="neutral", ids=(8, 9, 2)),
    Candidate(label="contradiction", ids=(7, 5, 2)),
)
cases = pytest.mark.parametrize(
    ("streams", "policy"),
    [("joint", "compact"), ("joint", "wait_all"), ("decomposed", "compact"), ("decomposed", "wait_all")],
)


def questions(make_rows: Any, count: int, prompt_ids: tuple[int, ...] = (0, 6, 11, 2)) -> list[RowInput]:
    """Rows with prompts of their own, all of one length."""
    rows = make_rows(count, prompt_ids=prompt_ids)
    return [
        replace(row, prompt_ids=(0, 4 + number % 7, *prompt_ids[2:]), candidates=CANDIDATES)
        for number, row in enumerate(rows)
    ]


def assert_same(results: list[RowResult], expected: list[RowResult]) -> None:
    for ours, theirs in zip(results, expected, strict=True):
        assert (ours.uid, ours.label, ours.tokens, ours.finish_reason) == (
            theirs.uid,
            theirs.label,
            theirs.tokens,
            "candidate",
        )
        assert np.allclose(ours.scores, theirs.scores, rtol=0, atol=1e-9)
        assert ours.trace == theirs.trace
        assert theirs.trace is not None
        assert len(theirs.trace.decoder) == 1


def counted(model: MueModel, results: list[RowResult]) -> int:
    executed = sum(costs.row_flops(model.config, result.trace).executed for result in results)
    return executed - sum(r.flops_reused for r in results) + sum(r.flops_padding for r in results)


@cases
def test_scripted_depths(small_model: Any, make_rows: Any, streams: str, policy: BatchPolicy) -> None:
    model = small_model(streams=streams)
    rows = questions(make_rows, 10)
    exits = ScriptedExit(
        {row.uid: Depths(1 + n % 3, 1 + (n // 2) % 3, (1 + (n * 3) % 4,)) for n, row in enumerate(rows)}
    )
    expected = [reference.run_row(model, row, exits, GENERATION) for row in rows]
    runner = BatchRunner(model, exits, GENERATION, batch_policy=policy)
    with FlopCounterMode(display=False) as counter:
        results = runner.run(rows)
    assert_same(results, expected)
    assert {result.trace.decoder for result in results} == {(1,), (2,), (3,), (4,)}
    assert counter.get_total_flops() == counted(model, results)


@cases
def test_real_thresholds(
    small_model: Any, make_rows: Any, quantile_exits: Any, streams: str, policy: BatchPolicy
) -> None:
    model = small_model(streams=streams)
    rows = questions(make_rows, 12)
    exits = quantile_exits(model, rows, 0.5)
    expected = [reference.run_row(model, row, exits, GENERATION) for row in rows]
    with FlopCounterMode(display=False) as counter:
        results = BatchRunner(model, exits, GENERATION, batch_policy=policy).run(rows)
    assert_same(results, expected)
    assert len({result.trace.image for result in results}) > 1
    assert len({result.trace.decoder for result in results}) > 1
    assert counter.get_total_flops() == counted(model, results)


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
def test_costs_equal_the_counter_on_the_reference(small_model: Any, make_rows: Any, streams: str) -> None:
    model = small_model(streams=streams)
    [row] = questions(make_rows, 1)
    with FlopCounterMode(display=False) as counter:
        result = reference.run_row(model, row, ScriptedExit({row.uid: Depths(2, 1, (3,))}), GENERATION)
    assert costs.row_flops(model.config, result.trace).executed == counter.get_total_flops()


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
@pytest.mark.parametrize("policy", ["regroup", "compact", "mask"])
def test_an_engine_takes_captions_and_questions_at_once(
    small_model: Any, make_rows: Any, quantile_exits: Any, policy: str, streams: str
) -> None:
    model = small_model(streams=streams)
    rows = [*questions(make_rows, 5), *make_rows(5, prefix="caption")]
    exits = quantile_exits(model, rows, 0.5)
    config = EngineConfig(group_size=4, image_group_size=2, policy=policy)
    engine = Engine(make_runner(model, exits, GENERATION, "propagate", config))
    results = engine.submit(rows).result()
    engine.close()
    for ours, row in zip(results, rows, strict=True):
        theirs = reference.run_row(model, row, exits, GENERATION)
        assert (ours.uid, ours.label, ours.tokens, ours.trace) == (row.uid, theirs.label, theirs.tokens, theirs.trace)


@pytest.mark.parametrize("policy", ["regroup", "compact", "mask"])
def test_candidates_may_have_thresholds_of_their_own(small_model: Any, make_rows: Any, policy: str) -> None:
    model, never, always = small_model(streams="decomposed"), 1.0, -1.1
    rows = [*questions(make_rows, 3), *make_rows(3, prefix="caption")]
    thresholds = ExitConfig(decoder=(never, always, never, never), candidates=(never, never, always, never))
    exits = CosineExit.from_config(thresholds, model.config, GENERATION.max_tokens)
    config = EngineConfig(group_size=4, image_group_size=2, policy=policy)
    engine = Engine(make_runner(model, exits, GENERATION, "propagate", config))
    results = engine.submit(rows).result()
    engine.close()
    for ours, row in zip(results, rows, strict=True):
        theirs = reference.run_row(model, row, exits, GENERATION)
        assert (ours.label, ours.tokens, ours.trace) == (theirs.label, theirs.tokens, theirs.trace)
        assert ours.trace is not None
        assert set(ours.trace.decoder) == {3 if row.candidates else 2}


def test_scores_that_are_not_finite_are_an_error_of_that_row(small_model: Any, make_rows: Any) -> None:
    model = copy.deepcopy(small_model(streams="decomposed"))
    poison = 15  # in no answer, so its column of the vocabulary is never looked at
    rows = questions(make_rows, 3)
    rows[1] = replace(rows[1], prompt_ids=(0, poison, *rows[1].prompt_ids[2:]))
    with torch.no_grad():
        model.encoder.embed_tokens.weight[poison] = float("nan")
    results = BatchRunner(model, ScriptedExit({r.uid: Depths(3, 3, (4,)) for r in rows}), GENERATION).run(rows)
    assert [result.error.code if result.error else None for result in results] == [None, "nonfinite", None]
    assert [result.label is None for result in results] == [False, True, False]
