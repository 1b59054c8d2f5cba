"""Measured time saved: windows of consecutive rows, run with exits and at full depth in the same drained process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from jobs.interval import Interval, NotMeasured
from pipeline.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window, as the process that ran it wrote it down."""

    attempt: str
    actor: str
    number: int
    """Counted by each process from 0."""
    first: Literal["exits", "full"]
    """Which of the two ran first; they alternate."""
    rows: int
    """In each of the two runs."""
    rows_distinct: int
    """Fewer where a small job's rows were repeated to fill the window."""
    rows_in_flight: int
    """W, those that keep every group full; a window has at least four times as many rows."""
    exits_s: float
    full_s: float
    drain_s: float
    """Waiting until the process was empty."""
    warm_s: float
    """Runs before the clock, so that both are warm."""
    device: str

    @property
    def ratio(self) -> float:
        """Time with exits over time at full depth."""
        return self.exits_s / self.full_s


@dataclass(frozen=True, kw_only=True)
class TimingWindows:
    """All windows of a run, or of the latest `mue audit run`."""

    source: Literal["run", "audit"]
    windows: tuple[Window, ...]
    time_ratio: Interval | None
    """Time with exits over time at full depth, of all windows together; None of a single window, which has no
    interval."""
    saved_share: Interval | None
    """1 - time_ratio: savings (c)."""

    @property
    def cost_s(self) -> float:
        """Actor-seconds that all windows took, draining and warming included: an overhead of the audit."""
        return sum(window.exits_s + window.full_s + window.drain_s + window.warm_s for window in self.windows)

    @property
    def point_ratio(self) -> float:
        """Total time with exits over total time at full depth."""
        return sum(window.exits_s for window in self.windows) / sum(window.full_s for window in self.windows)

    def document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"measured": True, **asdict(self), "cost_s": self.cost_s, "point_ratio": self.point_ratio}


def timing_windows(ledger: Ledger) -> TimingWindows | NotMeasured:
    """Return the job's windows; those of the run itself, or else of its latest `mue audit run`."""
    return NotMeasured(
        reason="no timing windows: plan the job with audit.windows, or run 'mue audit run' on its output"
    )
