"""A trace made of depths alone equals the one that the reference wrote down while it ran."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mue_model import costs
from mue_model.config import GenerationConfig, KvPolicy
from mue_model.depth_trace import DepthTracer
from mue_model.exits import CosineExit, NeverExit, PublishedSchedule, Stage
from mue_model.reference import run_row
from mue_model.rows import Candidate

STEPS = 9
CANDIDATES = tuple(
    Candidate(label=str(place), ids=(*ids, 2)) for place, ids in enumerate([(7,), (7, 9), (11, 4, 5), (11, 4)])
)


def policy_of(quantile_exits: Any, model: Any, rows: Any) -> CosineExit:
    """Thresholds that some layers have and others do not, and none in the first third of the steps."""
    found = quantile_exits(model, rows, 0.5, steps=STEPS)._thresholds
    stages: list[Stage] = ["joint", "image", "text", "decoder"]
    thresholds = {stage: list(found[stage]) for stage in stages}
    thresholds["decoder"][1] = 1.0
    thresholds["candidates"] = [0.2, 1.0, -1.0, 1.0]  # type: ignore[index]
    return CosineExit(thresholds, PublishedSchedule(STEPS))  # type: ignore[arg-type]


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
@pytest.mark.parametrize(
    ("kv_policy", "beams"), [("propagate", 1), ("just_in_time", 1), ("holes", 1), ("propagate", 3)]
)
def test_generated_rows(
    small_model: Any, make_rows: Any, quantile_exits: Any, streams: str, kv_policy: KvPolicy, beams: int
) -> None:
    model, rows = small_model(streams=streams), make_rows(12, prefix=streams)
    policy = policy_of(quantile_exits, model, rows)
    tracer = DepthTracer(config=model.config, policy=policy, grid=(2, 3), kv_policy=kv_policy, beams=beams)
    depths = set()
    for row in rows:
        trace = run_row(model, row, policy, GenerationConfig(max_tokens=STEPS, beams=beams), kv_policy).trace
        assert trace is not None
        assert tracer.generated(4, trace.image, trace.text, trace.decoder) == trace
        assert all(tracer.may_stop("decoder", depth, step) for step, depth in enumerate(trace.decoder))
        depths |= {*trace.decoder}
    assert len(depths) > 1, "tokens leave at several layers"


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
def test_scored_rows(small_model: Any, make_rows: Any, quantile_exits: Any, streams: str) -> None:
    model, rows = small_model(streams=streams), make_rows(8, prefix=f"scored-{streams}")
    policy = policy_of(quantile_exits, model, rows)
    tracer = DepthTracer(config=model.config, policy=policy, grid=(2, 3))
    for row in rows:
        trace = run_row(model, replace(row, candidates=CANDIDATES), policy, GenerationConfig()).trace
        assert trace is not None
        assert trace.checks[2] > 0
        assert tracer.scored(row.prompt_ids, CANDIDATES, trace.image, trace.text, trace.decoder[0]) == trace


def test_rows_stop_where_they_are_checked(small_config: Any) -> None:
    policy = CosineExit({"image": [0.9, 1.0, 0.9], "decoder": [1.0, 0.5, 1.0, 1.0]}, PublishedSchedule(STEPS))
    tracer = DepthTracer(config=small_config(streams="decomposed"), policy=policy, grid=(2, 3))
    assert [depth for depth in range(-1, 6) if tracer.may_stop("image", depth)] == [1, 3]
    assert [depth for depth in range(6) if tracer.may_stop("decoder", depth, 2)] == [4], "never in the first third"
    assert [depth for depth in range(6) if tracer.may_stop("decoder", depth, 3)] == [2, 4]


def test_full_depth_costs_what_the_baseline_says(small_config: Any) -> None:
    config = small_config(streams="decomposed")
    tracer = DepthTracer(config=config, policy=NeverExit(), grid=(2, 3))
    flops = costs.row_flops(config, tracer.generated(4, 3, 3, [4, 4, 4]))
    assert flops.executed == flops.full_same_length > 0
    assert (flops.checks, flops.kv_fill) == (0, 0)
