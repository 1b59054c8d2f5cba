"""A runner that finishes at most so many rows a second, with the same results: the rest of a device is for others.

Where the model is fast against that pace, time is spent asleep, and an actor is as good as a device of known speed:
what surrounds it can be measured with more actors than there are cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mue_model.engine.runner import Runner
from mue_model.rows import RowInput, RowResult


class PacedRunner:
    """`runner`, but no faster than `rows_per_s`. Time in which there was nothing to do is not made up for."""

    def __init__(
        self,
        runner: Runner,
        rows_per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._runner, self._row_s, self._clock, self._sleep = runner, 1 / rows_per_s, clock, sleep
        self._due = 0.0
        """When the rows so far may have been finished."""

    @property
    def busy(self) -> bool:
        """Whether rows are inside."""
        return self._runner.busy

    def room(self) -> int:
        """Return how many rows may be admitted now."""
        return self._runner.room()

    def rows_wanted(self, *, scored: bool) -> int:
        """Return the rows in flight that keep every group full."""
        return self._runner.rows_wanted(scored=scored)

    def admit(self, ticket: int, row: RowInput) -> None:
        """Take a row in."""
        if not self._runner.busy:
            self._due = max(self._due, self._clock())
        self._runner.admit(ticket, row)

    def step(self, *, held_back: bool = False) -> list[tuple[int, RowResult]]:
        """Do some work; where it finished rows, sleep until they may be finished."""
        finished = self._runner.step(held_back=held_back)
        self._due += len(finished) * self._row_s
        early_s = self._due - self._clock()
        if finished and early_s > 0:
            self._sleep(early_s)
        return finished

    def occupancies(self) -> dict[str, float]:
        """Return how full the groups of each stage were."""
        return self._runner.occupancies()
