"""A timing window: the same rows with exits and at full depth, in a drained process, one after the other. No ray.

Rows in mixed groups have no time of their own; a window has one. Both runs are warmed by rows that are not timed. Who
goes first alternates, so that a machine that grows slower or faster favours neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mue_model.rows import RowInput, RowResult
from pipeline.window_rows import IN_FLIGHT_TIMES

Run = Callable[[Sequence[RowInput]], list[RowResult]]
"""Answers rows, which nobody else's work delays."""
Arm = Literal["exits", "full"]


@dataclass(frozen=True, kw_only=True)
class WindowTimes:
    """What a window took, in seconds."""

    first: Arm
    rows: int
    exits_s: float
    full_s: float
    warm_s: float
    """Rows that were run before the clock of either."""


def first_arm(number: int) -> Arm:
    """Return who goes first in the window of this number."""
    return "full" if number % 2 else "exits"


def run_window(
    number: int, rows: Sequence[RowInput], arms: dict[Arm, Run], *, clock: Callable[[], float] = time.perf_counter
) -> WindowTimes | None:
    """Run `rows` through both arms, in the order of the window's number; None if a row failed in either.

    A row that fails is not all run, and would make its arm look fast.
    """
    order: tuple[Arm, Arm] = ("exits", "full") if first_arm(number) == "exits" else ("full", "exits")
    warming = rows[: max(1, len(rows) // IN_FLIGHT_TIMES)]
    seconds: dict[Arm, float] = {}
    warm_s = 0.0
    for arm in order:
        began = clock()
        arms[arm](warming)
        warmed = clock()
        results = arms[arm](rows)
        seconds[arm] = clock() - warmed
        warm_s += warmed - began
        if any(result.error is not None for result in results):
            return None
    return WindowTimes(first=order[0], rows=len(rows), exits_s=seconds["exits"], full_s=seconds["full"], warm_s=warm_s)
