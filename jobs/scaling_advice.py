"""How many actors a running job needs to be done in a given time, from its output folder alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cluster.scaling import ScalingLimits, actors_wanted
from jobs.commit_times import commit_times, recent_rate
from jobs.job_folder import row_total, run_facts
from mue_model.config import ConfigError
from pipeline.ledger import Ledger

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What the scaling rule says about a job."""

    actors_now: int
    actors: int
    backlog_rows: int
    rows_per_s: float | None
    """Of late, all actors together; None where too little is committed to tell."""


def advise(ledger: Ledger, *, within_s: float, min_actors: int, max_actors: int) -> Advice:
    """Return the fewest actors, within the limits, with which the rows left are done in `within_s` seconds.

    Raises:
        ConfigError: It is not known how many rows are left.
    """
    plan, progress = ledger.plan(), ledger.progress()
    total = row_total(plan, progress).rows
    if total is None:
        raise ConfigError(f"{ledger.storage.url}: how many rows there are is not known yet; wait, or name the actors")
    now = _actors_now(ledger)
    rate = recent_rate(ledger, commit_times(ledger))
    backlog = max(0, total - progress.rows_committed)
    wanted = actors_wanted(
        backlog_rows=backlog,
        rows_per_s_per_actor=None if rate is None else rate / now,
        target_s=within_s,
        actors_now=now,
        limits=ScalingLimits(min_actors=min_actors, max_actors=max_actors),
    )
    return Advice(actors_now=now, actors=wanted, backlog_rows=backlog, rows_per_s=rate)


def seconds_of(text: str) -> float:
    """Return the seconds of `90s`, `30m` or `2h`."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not float(match[1]) > 0:
        raise ConfigError(f"--within '{text}': expected a time such as 90s, 30m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


def _actors_now(ledger: Ledger) -> int:
    """As many as the last attempt was given, or was asked to have since."""
    attempts: list[dict[str, Any]] = run_facts(ledger).get("attempts") or [{}]
    scales = attempts[-1].get("scales") or []
    if scales:
        return int(scales[-1]["max"])
    actors = (attempts[-1].get("spec") or {}).get("actors") or {}
    return int(actors.get("max") or actors.get("min") or 1)
