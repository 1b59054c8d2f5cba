from __future__ import annotations

import pytest

from mue_model.engine.paced import PacedRunner
from mue_model.rows import RowInput, RowResult


class Steps:
    """A runner whose every step takes `step_s` and finishes what it is told to."""

    busy = False

    def __init__(self, step_s: float) -> None:
        self.step_s, self.now, self.finish = step_s, 0.0, 1

    def room(self) -> int:
        return 7

    def admit(self, ticket: int, row: RowInput) -> None:
        self.busy = True

    def step(self, *, held_back: bool = False) -> list[tuple[int, RowResult]]:
        self.now += self.step_s
        return [(n, RowResult(uid=str(n))) for n in range(self.finish)]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(steps: Steps, rows_per_s: float) -> PacedRunner:
    return PacedRunner(steps, rows_per_s, clock=lambda: steps.now, sleep=steps.sleep)


@pytest.mark.parametrize(("step_s", "expected_s"), [(0.01, 2.0), (0.5, 10.0)])
def test_a_fast_runner_keeps_the_pace_and_a_slow_one_loses_nothing(step_s: float, expected_s: float) -> None:
    steps = Steps(step_s)
    runner = paced(steps, 10)
    runner.admit(0, None)  # type: ignore[arg-type]
    assert sum(len(runner.step()) for _ in range(20)) == 20
    assert steps.now == pytest.approx(expected_s, abs=0.02)
    assert (runner.busy, runner.room()) == (True, 7)


def test_a_pause_is_not_made_up_for_and_unfinished_work_is_not_slowed() -> None:
    steps = Steps(0.01)
    runner = paced(steps, 10)
    steps.now = 100.0
    runner.admit(0, None)  # type: ignore[arg-type]
    steps.finish = 0
    assert runner.step() == []
    assert steps.now == pytest.approx(100.01)
    steps.finish = 10
    runner.step()
    assert steps.now == pytest.approx(101.0)
