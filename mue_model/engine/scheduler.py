"""Which rows go through a layer together, and when. Integers only: no torch, no clock, no threads.

A *stage* is a place where rows wait; a *lane* of a stage holds rows whose states have the same shape, for only those
can share a group. With W = sum over a region's stages of (group size - 1), plus one, rows in flight, some lane holds a
full group as long as there is one lane to a stage (pigeonhole; loops included). So nothing thinner than a full group
runs while there are rows enough, and when there are not, nothing waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Stage(NamedTuple):
    """A place where rows wait. Stages are ordered as a row meets them."""

    region: int
    """Encoder before decoder."""
    place: int
    """Order inside the region; a row moves on to a higher place, or from the region's last one back."""
    lane: int = 0
    """What rows need in common besides the place."""


@dataclass
class _Waiting:
    """Rows at one stage, the longest waiting first, and what has run there."""

    size: int
    rows: list[int] = field(default_factory=list)
    since: int = 0
    """Groups that had run anywhere when this stage was last empty or served."""
    groups: int = 0
    rows_run: int = 0
    places_run: int = 0
    """Rows that the groups could have held."""


class Scheduler:
    """Rows are small integers that mean something to the caller alone; a row waits at one stage at most.

    `next_group` answers with, in this order: a stage that has waited for `patience` groups, so that no row waits for
    ever; a full group, of the last stage that has one, so that rows leave early and make room; when rows are held back
    outside for want of room, the fullest stage; else the earliest one, so that its rows join those that wait behind.
    """

    def __init__(self, patience: int = 10_000) -> None:
        self._stages: dict[Stage, _Waiting] = {}
        self._order: list[tuple[Stage, _Waiting]] = []
        self._patience = patience
        self.groups = 0
        """Groups handed out."""

    def open(self, stage: Stage, size: int) -> None:
        """Let rows wait at `stage`, in groups of at most `size`; where it is open already, change its size."""
        if size < 1:
            raise ValueError(f"groups of {size} rows at {stage}; at least 1 is needed")
        if stage in self._stages:
            self._stages[stage].size = size
            return
        self._stages[stage] = _Waiting(size)
        self._order = sorted(self._stages.items(), key=lambda item: item[0])

    def size(self, stage: Stage) -> int:
        """Return the most rows of a group at `stage`."""
        return self._stages[stage].size

    def push(self, stage: Stage, rows: Iterable[int]) -> None:
        """Let `rows` wait at `stage`, behind those that are there."""
        waiting = self._stages[stage]
        if not waiting.rows:
            waiting.since = self.groups
        waiting.rows.extend(rows)

    def waiting(self) -> dict[Stage, tuple[int, ...]]:
        """Return the rows that wait, by stage."""
        return {stage: tuple(waiting.rows) for stage, waiting in self._order if waiting.rows}

    def next_group(self, *, held_back: bool = False) -> tuple[Stage, list[int]] | None:
        """Return the rows that run next, and where; None if none wait.

        `held_back` says that there are rows which would be admitted if there were room.
        """
        chosen = self._choose(held_back)
        if chosen is None:
            return None
        stage, waiting = chosen
        rows, waiting.rows = waiting.rows[: waiting.size], waiting.rows[waiting.size :]
        self.groups += 1
        waiting.since = self.groups
        waiting.groups += 1
        waiting.rows_run += len(rows)
        waiting.places_run += waiting.size
        return stage, rows

    def _choose(self, held_back: bool) -> tuple[Stage, _Waiting] | None:
        full = first = fullest = None
        for item in self._order:
            waiting = item[1]
            if not waiting.rows:
                continue
            if self.groups - waiting.since >= self._patience:
                return item
            if len(waiting.rows) >= waiting.size:
                full = item
            if first is None:
                first = item
            if fullest is None or len(waiting.rows) > len(fullest[1].rows):
                fullest = item
        return full or (fullest if held_back else first)

    def runs(self) -> dict[Stage, tuple[int, int, int]]:
        """Return for each stage the groups run, the rows in them, and the rows that they could have held."""
        return {stage: (w.groups, w.rows_run, w.places_run) for stage, w in self._order}


def rows_for_full_groups(sizes: Sequence[int]) -> int:
    """Return W: with so many rows in flight over stages of these group sizes, one of them holds a full group."""
    return sum(size - 1 for size in sizes) + 1
