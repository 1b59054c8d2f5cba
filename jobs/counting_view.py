"""Shows on a terminal how far a count of many things is; elsewhere it is silent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


@contextmanager
def counting_shown(
    *, quiet: bool, what: str = "counting rows", unit: str = "shards"
) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is told how many things were looked at, of how many; the bar is gone afterwards."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn(what), BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
