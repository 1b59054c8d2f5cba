"""How far a calibration is, on stderr only: a live bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.logs import LogFormat

EVERY_S = 10.0


@contextmanager
def tuning_shown(*, quiet: bool, log_format: LogFormat) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that is told what is being done, how much of it is done, and of how much."""
    if quiet:
        yield lambda what, done, total: None
    elif log_format == "json" or not sys.stderr.isatty():
        yield _lines(log_format)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            known = {}

            def show(what: str, done: int, total: int) -> None:
                if what not in known:
                    known[what] = bar.add_task(what)
                bar.update(known[what], completed=done, total=total)

            yield show


def _lines(log_format: LogFormat) -> Callable[[str, int, int], None]:
    last: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what in last and now - last[what] < EVERY_S and done < total:
            return
        if what == "reading" and what in last and now - last[what] < EVERY_S:
            return  # how many there are is known only at the end
        last[what] = now
        if log_format == "json":
            print(json.dumps({"event": what, "done": done, "of": total}), file=sys.stderr, flush=True)
        else:
            print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return show
