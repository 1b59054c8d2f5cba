"""Which point is taken: the task that keeps least decides, then FLOPs with checks, then time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mue_model.config import ExitConfig
from mue_model.tuning.choice import Measured, TaskFigures, above_constant, baseline, best, cheapest
from mue_model.tuning.net_work import NetWork


def net(executed: int, checks: int) -> NetWork:
    """A job saves half of what the rows save alone, and checks cost half."""
    half = 500 + executed // 2
    return NetWork(executed=half, checks=checks // 2, full=1000, layers={}, asked={})


def figures(kept: float, flops: int, seconds: float = 1.0, checks: int = 0) -> TaskFigures:
    return TaskFigures(
        rows=100,
        quality=0.8 * kept,
        kept=kept,
        kept_error=0.004,
        flops_executed=flops,
        flops_checks=checks,
        flops_full_same_length=1000,
        flops_share=flops / 1000,
        net=net(flops, checks),
        layers={"image": 3.0, "text": 3.0, "decoder": 3.0},
        paper_layer_metric=0.5,
        seconds=seconds,
        time_share=seconds / 2,
    )


def point(name: str, caption: TaskFigures, entailment: TaskFigures) -> Measured:
    return Measured(name=name, exits=ExitConfig(), tasks={"caption": caption, "entailment": entailment})


FULL = point("full depth", *2 * (replace(figures(1.0, 1000, 2.0), kept_error=0.0),))
GOOD = point("good", figures(0.995, 600), figures(0.992, 500))
ONE_TASK = point("one task", figures(1.01, 300), figures(0.9, 300))
CHECKED = point("checked", figures(0.995, 550, checks=80), figures(0.992, 500))
SLOW = point("slow", figures(0.995, 600, 1.5), figures(0.992, 500, 1.5))
POINTS = [FULL, SLOW, GOOD, ONE_TASK, CHECKED]


def test_every_task_must_keep_the_quality() -> None:
    assert cheapest(POINTS, min_quality=0.99, by="flops") is GOOD
    assert cheapest(POINTS, min_quality=0.9, by="flops") is ONE_TASK
    assert cheapest(POINTS, min_quality=0.999, by="flops") is FULL
    assert cheapest([GOOD], min_quality=0.999, by="flops") is None


def test_who_wants_to_be_sure_gets_what_surely_keeps_it() -> None:
    """The standard error is .004: at 95 % the bound of .995 lies below .99, that of 1.0 above."""
    assert cheapest(POINTS, min_quality=0.99, by="flops", confidence=0.5) is GOOD
    assert GOOD.kept_surely(0.95) == pytest.approx(0.992 - 1.6449 * 0.004, abs=1e-6)
    assert cheapest(POINTS, min_quality=0.985, by="flops", confidence=0.95) is GOOD
    assert cheapest(POINTS, min_quality=0.99, by="flops", confidence=0.95) is FULL
    assert GOOD.tasks["caption"].kept_within == pytest.approx(1.96 * 0.004, abs=1e-6)


def test_checks_count_and_time_breaks_ties() -> None:
    assert CHECKED.spent_share == pytest.approx(0.565)
    assert cheapest([SLOW, GOOD, CHECKED], min_quality=0.99, by="flops") is GOOD


def test_another_measure_may_choose_another_point() -> None:
    shared = replace(figures(0.995, 400), net=NetWork(executed=900, checks=0, full=1000, layers={}, asked={}))
    points = [GOOD, point("shared", shared, shared), SLOW, point("fast", *2 * (figures(0.995, 700, 0.5),))]
    chosen = {by: cheapest(points, min_quality=0.99, by=by) for by in ("flops", "work", "time")}
    assert {by: own.name for by, own in chosen.items() if own} == {"flops": "shared", "work": "good", "time": "fast"}


def test_within_flops_the_best_is_taken() -> None:
    assert best(POINTS, max_flops=0.56) is GOOD
    assert best(POINTS, max_flops=0.4) is ONE_TASK
    assert best(POINTS, max_flops=1) is FULL
    assert best(POINTS, max_flops=0.1) is None


def test_constant_depth_is_a_line_between_its_depths() -> None:
    constants = [FULL, point("constant 2", figures(0.5, 400), figures(0.7, 400))]
    assert above_constant(
        point("x", figures(0.8, 700), figures(0.8, 700)), constants, "caption", "flops"
    ) == pytest.approx(0.04)
    assert above_constant(constants[1], constants, "entailment", "flops") == pytest.approx(0)
    assert above_constant(point("x", figures(0.8, 300), figures(0.8, 300)), constants, "caption", "flops") is None


def test_the_baseline_is_the_best_of_constant_depths_and_their_mixes() -> None:
    shares = {"2": (0.5, 400), "3": (0.9, 600), "2/1/3": (0.8, 400), "4": (0.88, 700), "1": (0.4, 300)}
    constants = [FULL, *(point(name, *2 * (figures(kept, flops),)) for name, (kept, flops) in shares.items())]
    found = baseline(constants, "caption", "flops")
    assert [cost for cost, _ in found] == [0.3, 0.4, 0.6, 1.0]
    assert [quality for _, quality in found] == pytest.approx([0.32, 0.64, 0.72, 0.8])
    exits = point("x", *2 * (figures(0.94, 700),))
    assert above_constant(exits, constants, "caption", "flops") == pytest.approx(0.94 * 0.8 - 0.74)
    assert baseline([FULL], "caption", "flops") == [(1.0, 0.8)]
