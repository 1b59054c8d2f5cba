"""An estimate together with the range that it may lie in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number that was estimated, never one that was counted."""

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE
    """Of the two-sided interval [low, high]."""

    def document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class NotMeasured:
    """There is nothing to estimate from; never a zero."""

    reason: str
    """In plain words, with what to do about it."""

    def document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"measured": False, "reason": self.reason}
