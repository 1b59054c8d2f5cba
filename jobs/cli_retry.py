"""`mue retry`: run failed rows again."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from jobs.cli_options import OutputArgument
from jobs.progress import ProgressView
from jobs.retry import RetryOutcome, retry_failed
from jobs.terminal import Terminal, pairs_table
from pipeline.exit_codes import ExitCode


def retry(
    context: typer.Context,
    output: OutputArgument,
    only: Annotated[Literal["failed"], typer.Option("--only", help="Which rows: those that failed.")] = "failed",
    code: Annotated[
        list[str] | None, typer.Option("--code", metavar="CODE", help="Only failures with this code. Repeatable.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also failures that follow from the row itself, as corrupt_image.")
    ] = False,
) -> None:
    """Run failed rows again.

    Shards are read again, and only the failed rows are answered, with the settings of the job's last run. A row that
    is well now takes its old place; one that fails again has one attempt more. Broken images and the like are left
    alone: they would fail at every attempt.

    \b
    Example:
      mue retry out --only failed
      mue retry out --code out_of_memory --code poison
    """
    terminal: Terminal = context.obj
    with ProgressView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as progress:
        outcome = retry_failed(output, codes=code or [], force=force, progress=progress)
    facts = {"output": output, "exit_code": int(outcome.job.exit_code), "reason": outcome.job.reason, **_facts(outcome)}
    if not outcome.rows_wanted and outcome.job.exit_code not in (ExitCode.INTERRUPTED, ExitCode.SIGINT):
        terminal.note(f"nothing to retry in {output}: no row failed in a way that another attempt may mend")
    terminal.show(pairs_table((name, f"{value:,}") for name, value in _facts(outcome).items()), facts)
    if outcome.job.exit_code:
        terminal.error(outcome.job.reason)
        raise typer.Exit(int(outcome.job.exit_code))


def _facts(outcome: RetryOutcome) -> dict[str, int]:
    return {"rows to retry": outcome.rows_wanted, **outcome.rows_by_status, "not read": outcome.rows_absent}
