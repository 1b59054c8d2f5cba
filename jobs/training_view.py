"""How a training run is shown, on stderr only: a live bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from jobs.printable import printable_json
from jobs.progress import RATE_WINDOW_S, Form, duration

if TYPE_CHECKING:
    from mue_model.training.reports import Report
    from mue_model.training.validation import Validation


class TrainingView:
    """A `Watcher` that shows what it is told while it is entered."""

    def __init__(
        self,
        form: Form = "lines",
        *,
        every_s: float = 30.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._form, self._every_s, self._clock = form, every_s, clock
        self._stream = stream if stream is not None else sys.stderr
        self._points: deque[tuple[float, int, int]] = deque()
        self._steps = 0
        self._rows = 0
        self._facts = ""
        self._shown_at: float | None = None
        self._bar = _bar(self._stream) if form == "bar" else None
        self._task = self._bar.add_task("", total=None, facts="reading the corpus") if self._bar else None

    @classmethod
    def for_terminal(cls, *, quiet: bool = False, log_format: str = "text") -> Self:
        """Return the form that suits stderr: silent when quiet, a bar only on a terminal."""
        if quiet:
            return cls("silent")
        if log_format == "json":
            return cls("json")
        return cls("bar" if sys.stderr.isatty() else "lines")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, step: int, steps: int) -> None:
        """Say where the run starts, and where it ends."""
        self._steps = steps
        self._points.append((self._clock(), step, 0))

    def note(self, text: str) -> None:
        """Say something that is no progress."""
        if self._form == "json":
            self._write(printable_json({"level": "note", "message": text}))
        else:
            self._write(text)

    def stepped(self, step: int, rows: int) -> None:
        """Move the bar."""
        self._rows += rows
        self._points.append((self._clock(), step, self._rows))
        while len(self._points) > 2 and self._points[-1][0] - self._points[1][0] >= RATE_WINDOW_S:
            self._points.popleft()
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, total=self._steps, facts=self._line(step, " · "))

    def reported(self, report: Report) -> None:
        """Show losses by layer, first and last; off a terminal not more often than every few seconds."""
        losses = [f"{task} {layers[0]:.2f} → {layers[-1]:.2f}" for task, layers in report.cross_entropy.items()]
        self._facts = f"loss {report.loss:.3f} ({', '.join(losses)})"
        now = self._clock()
        is_due = self._shown_at is None or now - self._shown_at >= self._every_s or report.step == self._steps
        if self._bar is None and is_due:
            self._shown_at = now
            self._write(json.dumps(report.document()) if self._form == "json" else self._line(report.step, ", "))

    def validated(self, validation: Validation) -> None:
        """Show what the last layer gets right, by level."""
        self._write(json.dumps(validation.document()) if self._form == "json" else validation_line(validation))

    def _line(self, step: int, separator: str) -> str:
        parts = [f"{step:,}/{self._steps:,} steps", f"{100 * step // self._steps}%"]
        parts += [self._facts] if self._facts else []
        (since, step_then, rows_then), (now, step_now, rows_now) = self._points[0], self._points[-1]
        if now > since and step_now > step_then:
            seconds = (now - since) / (step_now - step_then)
            parts.append(f"{(rows_now - rows_then) / (now - since):,.1f} rows/s")
            parts.append(f"{duration(seconds * (self._steps - step))} left")
        return separator.join(parts)

    def _write(self, line: str) -> None:
        if self._bar:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        elif self._form != "silent":
            print(line, file=self._stream, flush=True)


def validation_line(validation: Validation) -> str:
    """Return shares of right tokens of captions, and of right answers, at the last layer, on one line."""
    parts = []
    for task, scores in validation.tasks.items():
        name = "row_accuracy" if task == "entailment" else "token_accuracy"
        what = "answers" if task == "entailment" else "caption tokens"
        levels = [
            f"{level}: {getattr(its, name)[-1]:.0%}"
            for level, its in validation.by_level[task].items()
            if len(validation.by_level[task]) > 1
        ]
        by_level = f" (level {', '.join(levels)})" if levels else ""
        shares = getattr(scores, name)
        parts.append(f"{what} right {shares[-1]:.1%}{by_level}, after layer 1 {shares[0]:.1%}")
    return f"step {validation.step:,}, validation: {'; '.join(parts)}"


def _bar(stream: TextIO) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=8),
        TextColumn("{task.fields[facts]}", table_column=Column(overflow="fold")),
        console=Console(file=stream),
        refresh_per_second=4,
    )
