"""Which rows a timing window runs: consecutive ones of its process, at places spread over what it gets. No ray."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mue_model.rows import RowInput

_LIKELY = 0.9
"""Of the rows that a process is expected to get: some fail, and other processes may be quicker."""
IN_FLIGHT_TIMES = 4
"""A window has at least so many times the rows in flight: filling and emptying the engine must not be what is timed."""


@dataclass(frozen=True)
class WindowRows:
    """Rows of one window."""

    number: int
    rows: tuple[RowInput, ...]
    distinct: int


class WindowCollector:
    """Takes the rows of every call in turn and gives back a window's worth when one is due; safe for threads.

    With `expected` rows to come the windows begin at 0, 1, 2, ... of `windows` equal parts, with some room at the end
    for rows that fail; otherwise after 0, 1, 3, 7, ... times a window's rows. A part shorter than a window is repeated
    until it fills one: what is timed stays the rows' own mixture of depths.
    """

    def __init__(self, windows: int, *, wanted: int, expected: int | None) -> None:
        """`wanted`: rows of a window."""
        self._windows, self._wanted = windows, wanted
        self._part = max(1, math.floor(_LIKELY * expected / windows)) if expected and windows else None
        self._lock = threading.Lock()
        self._seen, self._number = 0, 0
        self._rows: list[RowInput] = []

    def take(self, rows: Sequence[RowInput]) -> WindowRows | None:
        """Return the rows of a window that is due now, if one is."""
        with self._lock:
            self._seen += len(rows)
            if self._number >= self._windows or self._seen <= self._begins_at():
                return None
            self._rows += rows
            if len(self._rows) < (self._wanted if self._part is None else min(self._wanted, self._part)):
                return None
            number, self._number = self._number, self._number + 1
            found, self._rows = tuple(self._rows[: self._wanted]), []
            return WindowRows(number, _repeated(found, self._wanted), len(found))

    def _begins_at(self) -> int:
        return self._number * self._part if self._part else self._wanted * (2**self._number - 1)


def _repeated(rows: Sequence[RowInput], wanted: int) -> tuple[RowInput, ...]:
    """Return at least `wanted` rows; a repeated one has an image of its own as far as the engine knows."""
    rounds = math.ceil(wanted / len(rows))
    copies = [
        replace(row, image_key=f"{row.image_key}#{turn}") if turn and row.image_key else row
        for turn in range(rounds)
        for row in rows
    ]
    return tuple(copies[: max(wanted, len(rows))])
