"""Ctrl-C where the same command does not resume: it looks on while a job runs elsewhere, or measures in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode

NOTHING_KEPT = "nothing of it is kept; the same command begins anew"
"""Of measurements: what was measured before counts only with the rest."""


@contextmanager
def interrupt_says(terminal: Terminal, way_on: str) -> Iterator[None]:
    """Where Ctrl-C ends the block, say `way_on`: that the same command resumes would not be true of these.

    Raises:
        typer.Exit: With 130, where it did.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        terminal.note(f"interrupted; {way_on}")
        raise typer.Exit(ExitCode.SIGINT) from error


def goes_on(output: str) -> str:
    """Return how a job is followed that somebody no longer looks at."""
    return f"the job goes on without this: 'mue status {output} --watch' follows it, 'mue cancel {output}' ends it"


def stays_asked(output: str) -> str:
    """Return what is left of a request whose effect somebody no longer waits for."""
    return f"what was already asked for stays asked; 'mue status {output}' shows what became of it"
