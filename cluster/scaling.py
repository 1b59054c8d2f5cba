"""How many actors a job should have: a pure function of what is left, how fast actors are, and the limits.

The same inputs always give the same answer, and a small change of them does not make a pool flap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SLACK = 0.2
"""Share by which fewer actors than now must suffice before any is let go: starting one again costs a model load."""

MOST_ACTORS = 10**9
_MANY_ROWS = 10**30
"""More than this is as much: larger whole numbers are no floating point numbers at last."""


@dataclass(frozen=True, kw_only=True)
class ScalingLimits:
    """What the answer must keep within."""

    min_actors: int
    max_actors: int
    step_up: float = 2.0
    """Most times as many actors at once: measured speeds of few actors say little about very many."""

    def __post_init__(self) -> None:
        if not 0 < self.min_actors <= self.max_actors:
            raise ValueError(f"actors {self.min_actors} to {self.max_actors}: expected 0 < fewest <= most")
        if not 1 < self.step_up < math.inf:
            raise ValueError(f"step_up {self.step_up}: expected more than 1")
        if self.max_actors > MOST_ACTORS:
            raise ValueError(f"more than {MOST_ACTORS:,} actors")


def actors_wanted(
    *, backlog_rows: int, rows_per_s_per_actor: float | None, target_s: float, actors_now: int, limits: ScalingLimits
) -> int:
    """Return the fewest actors that finish the backlog in `target_s`, within the limits and with hysteresis.

    More actors are taken at once, up to `step_up` times those of now. Fewer only if a fifth less than now would do with
    room to spare. Without a measured speed nothing changes.

    Args:
        backlog_rows: Rows still to be answered.
        rows_per_s_per_actor: Measured over the last minutes; None where nothing was.
        target_s: Seconds in which they should be done.
        actors_now: Actors of now.
        limits: Bounds of the answer.
    """
    if backlog_rows < 0 or not target_s > 0 or actors_now < 0:
        raise ValueError(f"backlog {backlog_rows} rows, target {target_s} s, {actors_now} actors: none may be negative")
    now = min(max(actors_now, limits.min_actors), limits.max_actors)
    if backlog_rows == 0:
        return limits.min_actors
    if rows_per_s_per_actor is None or not rows_per_s_per_actor > 0:
        return now
    # Bounded before it is rounded: a speed of nearly nothing asks for more actors than a number can say.
    needed = math.ceil(
        min(min(backlog_rows, _MANY_ROWS) / target_s / rows_per_s_per_actor - 1e-9, float(limits.max_actors))
    )
    if needed > now:
        return min(needed, limits.max_actors, max(now + 1, math.floor(min(now * limits.step_up, MOST_ACTORS))))
    if needed < now * (1 - SLACK):
        return max(needed, limits.min_actors)
    return now
