"""`mue audit`: what an audit needs, and an audit of a finished job."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_options import OutputArgument
from jobs.job_folder import open_job, row_total
from jobs.progress import ProgressView
from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """Bound what exits change, and measure what they save.

    An audit runs some rows at full depth too. It belongs into the job (audit.rate, audit.windows), or looks at a
    finished one.

    \b
    Example:
      mue audit plan --margin 0.5pp --power 0.9 --rows 1000000
    """


@app.command()
def plan(
    context: typer.Context,
    margin: Annotated[
        str, typer.Option("--margin", metavar="SHARE", help="Largest share of rows that may differ, as in 0.5pp.")
    ],
    power: Annotated[float, typer.Option("--power", metavar="P", help="Chance to show it where it is true.")] = 0.9,
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="SHARE", help="Share that differs in truth; left out: several.")
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", metavar="N", min=1, help="Rows that the job will have.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="OUT", help="Output folder with a plan: its rows.")
    ] = None,
) -> None:
    """Say how many shadow rows a claim needs, and which rate gives them.

    The claim: full depth gives another answer to fewer than MARGIN of the rows (95 %, one-sided). Whatever quality is
    measured by rights and wrongs, exits can lose no more of it. Declare the margin before the job runs (audit.margin).
    The more rows really differ, the more it takes. Rows of one image count for less than rows of several.

    \b
    Example:
      mue audit plan --margin 0.5pp --power 0.9 --rows 1000000
      mue audit plan --margin 1pp --truth 0.4pp --output out
    """
    from jobs.audit_plan import audit_plan, parse_share
    from jobs.audit_view import plan_facts, plan_view

    terminal: Terminal = context.obj
    if rows is None and output is not None:
        ledger = open_job(output)
        rows = row_total(ledger.plan(), ledger.progress()).rows
    found = audit_plan(
        parse_share(margin, option="--margin"),
        power=power,
        truth=None if truth is None else parse_share(truth, option="--truth"),
        rows=rows,
    )
    terminal.show(plan_view(found), plan_facts(found))
    terminal.note(f"declare it before the job runs: --set audit.margin={found.margin:g} --set audit.rate=RATE")


@app.command()
def run(
    context: typer.Context,
    output: OutputArgument,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", metavar="SHARE", min=0, max=1, help="Rows to run, where the plan selects none; about 1,000 rows."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Of the hash that selects.")] = None,
    margin: Annotated[
        str | None, typer.Option("--margin", metavar="SHARE", help="Where the plan declares none, as in 0.5pp.")
    ] = None,
    windows: Annotated[
        int, typer.Option("--windows", metavar="N", min=0, help="Timing windows; each takes thousands of rows' time.")
    ] = 4,
) -> None:
    """Run rows of a finished job at full depth, and time windows of them, without touching the job's rows.

    Takes the rows that the plan selects, or, if it selects none, about 1,000. Reads their inputs again and refuses
    those that have changed. What was found goes to OUT/audit/ when all is done; one that is stopped leaves nothing.

    \b
    Example:
      mue audit run out
      mue audit run out --rate 0.05 --margin 1pp --windows 8
    """
    from jobs.audit_plan import parse_share
    from jobs.audit_run import audit_job
    from jobs.audit_view import found_view
    from jobs.shadow_estimate import audit_estimate
    from jobs.timing_windows import audit_windows

    terminal: Terminal = context.obj
    share = None if margin is None else parse_share(margin, option="--margin")
    with ProgressView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as progress:
        outcome = audit_job(output, rate=rate, seed=seed, margin=share, windows=windows, progress=progress)
    if outcome.record is None:
        terminal.error(outcome.reason)
        raise typer.Exit(int(outcome.exit_code))
    ledger = open_job(output)
    shadows, timed = audit_estimate(ledger, outcome.record), audit_windows(outcome.record)
    facts = {"record": outcome.record.path, "shadows": shadows.document(), "windows": timed.document()}
    terminal.show(found_view(shadows, timed), facts)
    differ = outcome.record.rows_shadowed - outcome.record.rows_reproduced
    if differ:
        terminal.note(f"{differ:,} rows gave another answer with exits than the committed one: near ties do that")
    raise typer.Exit(ExitCode.OK)
