"""Progress in rows, on stderr only: a live bar on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Literal, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

Form = Literal["bar", "lines", "json", "silent"]
RATE_WINDOW_S = 60.0
"""Rows per second are those of the last minute: a slow start must not distort the time left for hours."""


@dataclass(frozen=True, kw_only=True)
class ProgressFacts:
    """Where a job stands at one moment."""

    rows_done: int
    """Committed rows, failed ones included."""
    rows_total: int | None
    rows_total_estimated: bool
    """Some shards have not been counted yet."""
    failed: int
    shards_done: int
    shards_total: int
    rows_per_s: float | None
    """Of the last minute; None before two updates."""
    eta_s: float | None
    """Seconds left at that rate; None while unknown."""

    def line(self, *, of: str = " of ", separator: str = ", ") -> str:
        """Return all of it as one plain line."""
        about = "~" if self.rows_total_estimated else ""
        parts = [f"{self.rows_done:,} rows"]
        if self.rows_total is not None:
            share = math.floor(100 * self.rows_done / self.rows_total) if self.rows_total else 100
            parts = [f"{self.rows_done:,}{of}{about}{self.rows_total:,} rows", f"{about}{share}%"]
        if self.rows_per_s:
            parts.append(f"{self.rows_per_s:,.{1 if self.rows_per_s < 100 else 0}f}/s")
        if self.eta_s is not None:
            parts.append(f"{about}{duration(self.eta_s)} left")
        parts += [f"{self.failed:,} failed", f"{self.shards_done:,}{of}{self.shards_total:,} shards"]
        return separator.join(parts)


class ProgressView:
    """Shows a job's progress on stderr while it is entered; never writes to stdout."""

    def __init__(
        self,
        form: Form = "lines",
        *,
        every_s: float = 10.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._form = form
        self._every_s = every_s
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._points: deque[tuple[float, int]] = deque()
        self._shown_at: float | None = None
        self._last: ProgressFacts | None = None
        self._last_shown: ProgressFacts | None = None
        self._bar = _bar(self._stream) if form == "bar" else None
        self._task = self._bar.add_task("", total=None, facts="starting") if self._bar else None

    @classmethod
    def for_terminal(cls, *, quiet: bool = False, log_format: str = "text", every_s: float = 10.0) -> Self:
        """Return the form that suits stderr: silent when quiet, a bar only on a terminal."""
        if quiet:
            return cls("silent")
        if log_format == "json":
            return cls("json", every_s=every_s)
        return cls("bar" if sys.stderr.isatty() else "lines", every_s=every_s)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif self._last is not None and self._last != self._last_shown:
            self._write(self._last)

    def update(
        self,
        rows_done: int,
        rows_total: int | None,
        estimated: bool,
        failed: int,
        shards_done: int,
        shards_total: int,
    ) -> None:
        """Show where the job stands; cheap enough to be called as often as one likes."""
        now = self._clock()
        rate = self._rate(now, rows_done)
        left = None if rows_total is None else max(0, rows_total - rows_done)
        facts = ProgressFacts(
            rows_done=rows_done,
            rows_total=rows_total,
            rows_total_estimated=estimated,
            failed=failed,
            shards_done=shards_done,
            shards_total=shards_total,
            rows_per_s=rate,
            eta_s=left / rate if left is not None and rate else None,
        )
        self._last = facts
        if self._bar and self._task is not None:
            self._bar.update(
                self._task, completed=rows_done, total=rows_total, facts=facts.line(of="/", separator=" · ")
            )
        elif self._shown_at is None or now - self._shown_at >= self._every_s:
            self._shown_at = now
            self._write(facts)

    def _rate(self, now: float, rows_done: int) -> float | None:
        """Rows per second over the window; rows of an earlier attempt do not count."""
        self._points.append((now, rows_done))
        while len(self._points) > 2 and now - self._points[1][0] >= RATE_WINDOW_S:
            self._points.popleft()
        since, rows_then = self._points[0]
        return (rows_done - rows_then) / (now - since) if now > since else None

    def _write(self, facts: ProgressFacts) -> None:
        self._last_shown = facts
        if self._form == "json":
            print(json.dumps({"event": "progress", **asdict(facts)}), file=self._stream, flush=True)
        elif self._form != "silent":
            print(facts.line(), file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, as in `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest_s = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"


def _bar(stream: TextIO) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=8),
        # Folded rather than cut: the last words are the ones that tell of failures.
        TextColumn("{task.fields[facts]}", table_column=Column(overflow="fold")),
        console=Console(file=stream),
        refresh_per_second=4,
    )
