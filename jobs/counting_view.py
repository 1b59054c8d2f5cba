"""Shows on a terminal how far the counting of shards is; elsewhere it is silent, for it takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


@contextmanager
def counting_shown(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is told how many shards were looked at, of how many; the bar is gone afterwards."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("counting rows"), BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("shards"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
