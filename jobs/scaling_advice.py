"""How many actors a running job needs to be done in a given time, from its output folder alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cluster.scaling import ScalingLimits, actors_wanted
from jobs.commit_times import commit_times, rate_of, recent_commits, segment_of
from jobs.job_folder import row_total, run_facts
from mue_model.config import ConfigError
from pipeline.bounded_map import bounded_map
from pipeline.ledger import Ledger
from pipeline.receipts import Receipt

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


FEWEST_PARTS = 3
"""With fewer, or with fewer than there are actors, the moments at which parts end say more than the actors' speed."""
MOST_PARTS, MOST_PARTS_PER_ACTOR = 64, 8
"""The last so many tell how fast actors are, whichever is more: each is read, and every actor is to be seen in some."""
_READS = 16
"""Parts read at a time."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What the scaling rule says about a job."""

    actors_now: int
    actors: int
    backlog_rows: int
    rows_per_s: float | None
    """Of late, all actors of now together; None where they have committed too little to tell."""


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """The actors of now: of one attempt, from one segment on."""

    attempt: str
    segment: int
    actors: int
    """As many as the attempt was given, or was asked to have since; fewer may be there."""


@dataclass(frozen=True, kw_only=True)
class _Speed:
    rows_per_s: float
    actors: int
    """That made these rows."""


def advise(ledger: Ledger, *, within_s: float, min_actors: int, max_actors: int) -> Advice:
    """Return the fewest actors, within the limits, with which the rows left are done in `within_s` seconds.

    Raises:
        ConfigError: It is not known how many rows are left.
    """
    plan, progress = ledger.plan(), ledger.progress()
    total = row_total(plan, progress).rows
    if total is None:
        raise ConfigError(f"{ledger.storage.url}: how many rows there are is not known yet; wait, or name the actors")
    pool = _pool(ledger)
    speed = _speed(ledger, pool)
    backlog = max(0, total - progress.rows_committed)
    wanted = actors_wanted(
        backlog_rows=backlog,
        rows_per_s_per_actor=None if speed is None else speed.rows_per_s / speed.actors,
        target_s=within_s,
        actors_now=pool.actors,
        limits=ScalingLimits(min_actors=min_actors, max_actors=max_actors),
    )
    return Advice(
        actors_now=pool.actors,
        actors=wanted,
        backlog_rows=backlog,
        rows_per_s=None if speed is None else speed.rows_per_s,
    )


def seconds_of(text: str) -> float:
    """Return the seconds of `90s`, `30m` or `2h`."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not float(match[1]) > 0:
        raise ConfigError(f"--within '{text}': expected a time such as 90s, 30m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


def _pool(ledger: Ledger) -> _Pool:
    attempts: list[dict[str, Any]] = run_facts(ledger).get("attempts") or [{}]
    attempt = str(attempts[-1].get("attempt"))
    if scales := attempts[-1].get("scales"):
        return _Pool(attempt=attempt, segment=int(scales[-1]["segment"]), actors=int(scales[-1]["max"]))
    actors = (attempts[-1].get("spec") or {}).get("actors") or {}
    return _Pool(attempt=attempt, segment=0, actors=int(actors.get("max") or actors.get("min") or 1))


def _speed(ledger: Ledger, pool: _Pool) -> _Speed | None:
    """Return how fast the pool's actors are, by the parts that they committed last; None while these are too few."""

    def of_the_pool(receipt: Receipt) -> bool:
        segment = segment_of(receipt, pool.attempt)
        return segment is not None and segment >= pool.segment

    most = max(MOST_PARTS, MOST_PARTS_PER_ACTOR * pool.actors)
    commits = recent_commits(ledger, commit_times(ledger), of_the_pool)[-most - 1 :]
    rate = rate_of(commits)
    counted = [commit.receipt for commit in commits[1:]]
    if rate is None or len(counted) < FEWEST_PARTS:
        return None
    names = bounded_map(lambda receipt: ledger.read_part(receipt, ["actor"])["actor"], counted, at_once=_READS)
    actors = {name for column in names for name in column.unique().to_pylist() if name is not None}
    return _Speed(rows_per_s=rate, actors=len(actors)) if 0 < len(actors) <= len(counted) else None
