"""Batches from beginning to end: the plain way to drive a `BatchRunner`, beside the dense engine."""

from __future__ import annotations

from collections import deque

from mue_model.engine.batch import BatchRunner, geometry_of
from mue_model.engine.runner import is_fatal, row_error
from mue_model.engine.tables import Geometry
from mue_model.rows import RowInput, RowResult


class Batches:
    """Runs the oldest rows of one geometry together, at most `group_size`, and takes new ones when they are done."""

    def __init__(self, runner: BatchRunner, group_size: int) -> None:
        self._runner, self._group_size = runner, group_size
        self._waiting: deque[tuple[int, RowInput, Geometry]] = deque()
        self._batches = self._rows_begun = 0

    @property
    def busy(self) -> bool:
        """Whether rows wait."""
        return bool(self._waiting)

    def room(self) -> int:
        """Return how many rows may be admitted now: enough to fill a batch of each of a few geometries."""
        return max(0, 8 * self._group_size - len(self._waiting))

    def rows_wanted(self, *, scored: bool) -> int:
        """Return the rows of one full batch."""
        return self._group_size

    def admit(self, ticket: int, row: RowInput) -> None:
        """Take a row in."""
        self._waiting.append((ticket, row, geometry_of(row)))

    def step(self, *, held_back: bool = False) -> list[tuple[int, RowResult]]:
        """Run one batch; one that raises is halved until the row at fault is alone."""
        batch: list[tuple[int, RowInput]] = []
        others: deque[tuple[int, RowInput, Geometry]] = deque()
        geometry = self._waiting[0][2] if self._waiting else None
        while self._waiting and len(batch) < self._group_size:
            ticket, row, own = self._waiting.popleft()
            if own == geometry:
                batch.append((ticket, row))
            else:
                others.append((ticket, row, own))
        self._waiting.extendleft(reversed(others))
        if not batch:
            return []
        self._batches += 1
        self._rows_begun += len(batch)
        return self._answer(batch)

    def occupancies(self) -> dict[str, float]:
        """Return how full the batches were when they began."""
        return {"batch": self._rows_begun / (self._batches * self._group_size)} if self._batches else {}

    def _answer(self, batch: list[tuple[int, RowInput]]) -> list[tuple[int, RowResult]]:
        error = None
        try:
            results = self._runner.run([row for _, row in batch])
        except Exception as failure:
            if is_fatal(failure):
                raise
            error = row_error(failure)
        if error is None:
            return [(ticket, result) for (ticket, _), result in zip(batch, results, strict=True)]
        # outside the handlers: the failure is gone, and with it the memory that its frames held
        if len(batch) == 1:
            ticket, row = batch[0]
            return [(ticket, RowResult(uid=row.uid, error=error))]
        middle = len(batch) // 2
        return self._answer(batch[:middle]) + self._answer(batch[middle:])
