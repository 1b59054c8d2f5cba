"""Measured time saved: windows of consecutive rows, run with exits and at full depth in the same drained process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from jobs.audit_record import AuditRecord, audit_records
from jobs.interval import Interval, NotMeasured
from jobs.metrics_lines import ProcessLines, process_lines
from jobs.weighted import MIN_CLUSTERS, Sample, positive_ratio_interval
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
        """Actor-seconds that all windows took, warming included, and draining, in which rows in hand were finished."""
        return sum(window.exits_s + window.full_s + window.drain_s + window.warm_s for window in self.windows)

    @property
    def point_ratio(self) -> float:
        """Total time with exits over total time at full depth."""
        return sum(window.exits_s for window in self.windows) / sum(window.full_s for window in self.windows)

    def document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"measured": True, **asdict(self), "cost_s": self.cost_s, "point_ratio": self.point_ratio}


def timing_windows(ledger: Ledger) -> TimingWindows | NotMeasured:
    """Return the job's windows; those of the run itself, or else of its latest `mue audit run` that had some.

    Windows in which a row failed do not count.
    """
    in_run = windows_of(process_lines(ledger.storage, purpose="run"))
    if in_run:
        return estimated(in_run, source="run")
    for record in reversed(audit_records(ledger)):
        if record.windows:
            return audit_windows(record)
    planned = ledger.plan().audit_windows
    reason = f"none of the {planned} planned ones of each process was run to its end: too few rows, or processes died"
    if not planned:
        reason = "the plan has none (audit.windows 0)"
    return NotMeasured(reason=f"no timing windows: {reason}; 'mue audit run --windows N' measures afterwards")


def audit_windows(record: AuditRecord) -> TimingWindows | NotMeasured:
    """Return the windows of one `mue audit run`."""
    if not record.windows:
        return NotMeasured(reason="the audit ran no timing window; 'mue audit run --windows N' does")
    return estimated(tuple(Window(**window) for window in record.windows), source="audit")


def windows_of(processes: Iterable[ProcessLines]) -> tuple[Window, ...]:
    """Return the windows that processes ran to their end."""
    names = ("number", "first", "rows", "rows_distinct", "rows_in_flight", "exits_s", "full_s", "drain_s", "warm_s")
    return tuple(
        Window(
            attempt=lines.attempt,
            actor=lines.actor,
            device=lines.process["device"],
            **{name: line[name] for name in names},
        )
        for lines in processes
        for line in lines.windows
        if not line.get("lost")
    )


def estimated(windows: tuple[Window, ...], *, source: Literal["run", "audit"]) -> TimingWindows:
    """Return the windows with the interval over them: a window is one measurement, however many rows it has."""
    ratio = None
    if len(windows) >= MIN_CLUSTERS:
        each = Sample(weights=np.ones(len(windows)), clusters=np.arange(len(windows)))
        exits, full = (np.array([getattr(one, name) for one in windows], float) for name in ("exits_s", "full_s"))
        ratio = positive_ratio_interval(each, exits, full)
    saved = None
    if ratio is not None:
        saved = Interval(estimate=1 - ratio.estimate, low=1 - ratio.high, high=1 - ratio.low)
    return TimingWindows(source=source, windows=windows, time_ratio=ratio, saved_share=saved)
