"""Which rows of a shard are still to be done."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from pipeline.intervals import merge

BEYOND = 1 << 62
"""More rows than any shard has: a range to skip that ends here says that nothing behind it is wanted."""


class RowsWanted:
    """All rows but those of some ranges. Asking changes nothing, so any thread may ask about any row."""

    def __init__(self, skip: Sequence[tuple[int, int]]) -> None:
        """Take the ranges [start, stop) that are not wanted, in any order."""
        self._skip = merge(skip)
        self._starts = [start for start, _ in self._skip]

    def has(self, row: int) -> bool:
        """Return whether the row is wanted."""
        before = bisect_right(self._starts, row) - 1
        return before < 0 or row >= self._skip[before][1]

    def all_over(self, row: int) -> bool:
        """Return whether neither the row nor any behind it is wanted, however many there are."""
        return bool(self._skip) and self._skip[-1][1] >= BEYOND and row >= self._skip[-1][0]
