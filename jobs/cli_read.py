"""The commands that only look at an output folder: status, inspect, failures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from jobs.cli_interrupt import interrupt_says
from jobs.cli_options import OutputArgument
from jobs.failures import failure_line, failures_of
from jobs.inspection import find_rows, rows_view
from jobs.job_folder import open_job
from jobs.printable import printable_json
from jobs.progress import ProgressView
from jobs.status import status_facts, status_of, status_view
from jobs.terminal import Terminal
from jobs.watching import watch as watch_job


def status(
    context: typer.Context,
    output: OutputArgument,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show progress on stderr until the job ends.")] = False,
    every: Annotated[float, typer.Option(metavar="S", min=0.1, help="Seconds between two looks with --watch.")] = 5.0,
) -> None:
    """Say where a job stands.

    Reads state, driver, rows, rate, failures and compute from the output folder alone. Works for running and finished
    jobs, and from another machine.

    \b
    Example:
      mue status out
      mue status out --watch
    """
    terminal: Terminal = context.obj
    ledger = open_job(output)
    if watch:
        quiet = terminal.verbosity < 0
        with (
            interrupt_says(terminal, "the job does not need this"),
            ProgressView.for_terminal(quiet=quiet, log_format=terminal.log_format) as progress,
        ):
            watch_job(ledger, progress, every_s=every)
    found = status_of(ledger)
    terminal.show(status_view(found), status_facts(found))


def inspect(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="UID", help="A row's uid, or a key; keys may repeat.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Output folder of the job.")],
) -> None:
    """Print everything known about one row.

    That is its text, layers run, FLOPs, times and failure. A uid names one row; a key may name several.

    \b
    Example:
      mue inspect 000000-coco/17/0 --output out
    """
    terminal: Terminal = context.obj
    rows = find_rows(open_job(output), name)
    terminal.show(rows_view(rows), rows)


def failures(
    context: typer.Context,
    output: OutputArgument,
    code: Annotated[str | None, typer.Option("--code", help="Only failures with this code.")] = None,
) -> None:
    """List bad shards and failed rows.

    One a line, with code and message; with --json one JSON object a line.

    \b
    Example:
      mue failures out --code corrupt_image
    """
    terminal: Terminal = context.obj
    kinds: Counter[str] = Counter()
    for failure in failures_of(open_job(output), code=code):
        kinds[failure.kind] += 1
        terminal.line(printable_json(asdict(failure)) if terminal.as_json else failure_line(failure))
    terminal.note(f"failed rows: {kinds['row']:,}, bad shards: {kinds['shard']:,}")
