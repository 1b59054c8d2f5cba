"""How long a job ran, by its own record: seconds of all attempts, and what is missing from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MeasuredTime:
    """Wall time of a job, start and loading included."""

    seconds: float | None
    """None where no attempt left a time."""
    attempts: int
    attempts_without_time: int
    """Killed before they could record their end: the seconds are a lower bound."""

    @property
    def is_lower_bound(self) -> bool:
        """Whether more time was spent than is known."""
        return self.seconds is not None and self.attempts_without_time > 0


def measured_time(run: Mapping[str, Any]) -> MeasuredTime:
    """Return what `run.json` says."""
    attempts = run.get("attempts") or []
    times = [_number(attempt.get("wall_s")) for attempt in attempts]
    known = [seconds for seconds in times if seconds is not None]
    return MeasuredTime(
        seconds=sum(known) if known else None,
        attempts=len(attempts),
        attempts_without_time=len(times) - len(known),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None
