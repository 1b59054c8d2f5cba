"""Both arms run the same rows, warmed, in alternating order; what is timed is that alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mue_model.rows import RowError, RowInput, RowResult
from pipeline.timing_window import Arm, Run, run_window

ROWS = [RowInput(uid=str(n), pixels=np.zeros((16, 16, 3), np.uint8), prompt_ids=(0, 2)) for n in range(12)]
SECONDS_A_ROW: dict[Arm, float] = {"exits": 1.0, "full": 3.0}


class Machine:
    """Two arms and the clock that they move."""

    def __init__(self, *, fails: str = "") -> None:
        self.now, self.ran, self._fails = 100.0, list[tuple[Arm, tuple[str, ...]]](), fails

    def arms(self) -> dict[Arm, Run]:
        def arm(name: Arm) -> Run:
            def run(rows: Sequence[RowInput]) -> list[RowResult]:
                self.now += SECONDS_A_ROW[name] * len(rows)
                self.ran.append((name, tuple(row.uid for row in rows)))
                results = [RowResult(uid=row.uid) for row in rows]
                failed = RowError(code="nonfinite", message="")
                return [replace(r, error=failed) if r.uid == self._fails and name == "full" else r for r in results]

            return run

        return {"exits": arm("exits"), "full": arm("full")}


@pytest.mark.parametrize(("number", "first", "second"), [(0, "exits", "full"), (1, "full", "exits")])
def test_order_alternates_and_warming_is_not_in_the_times(number: int, first: Arm, second: Arm) -> None:
    machine = Machine()
    times = run_window(number, ROWS, machine.arms(), clock=lambda: machine.now)
    assert times is not None
    assert (times.first, times.rows, times.exits_s, times.full_s) == (first, 12, 12.0, 36.0)
    assert times.warm_s == 3.0 + 9.0
    every = tuple(row.uid for row in ROWS)
    assert machine.ran == [(first, every[:3]), (first, every), (second, every[:3]), (second, every)]


def test_a_window_in_which_a_row_fails_says_nothing() -> None:
    assert run_window(0, ROWS, Machine(fails="7").arms()) is None
