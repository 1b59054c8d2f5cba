"""`mue repair`: looks for damage in an output folder, and mends it when told to."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_options import OutputArgument
from jobs.job_folder import open_job
from jobs.repair import examine, findings_facts, findings_view, mend
from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode


def repair(
    context: typer.Context,
    output: OutputArgument,
    apply: Annotated[bool, typer.Option("--apply", help="Mend what is found; without it nothing is changed.")] = False,
    delete_orphans: Annotated[
        bool,
        typer.Option(
            "--delete-orphans",
            help="Delete files in data/ that no receipt names, once they are 10 minutes old. Implies --apply.",
        ),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes; do not read every byte.")] = False,
) -> None:
    """Look for damage in an output folder, and mend it.

    Names parts whose file is missing or has other bytes than were committed, rows that two parts hold, and files that a
    crash left without a receipt or half written; and says where the manifest is out of date. With --apply damaged parts
    are withdrawn, so that the next 'mue run' computes their rows again, and only those; rows in two parts stay in one;
    what was left half written is deleted; the manifest of a whole job is written anew.
    Refused while a job runs on the folder. The exit code is 1 while there is something to mend.

    \b
    Example:
      mue repair out
      mue repair out --apply --delete-orphans
    """
    terminal: Terminal = context.obj
    ledger = open_job(output)
    mended = apply or delete_orphans
    if mended:
        findings = mend(ledger, read_bytes=not quick, delete_orphans=delete_orphans)
    else:
        findings = examine(ledger, read_bytes=not quick)
    facts = findings_facts(findings, mended=mended, orphans_deleted=delete_orphans)
    terminal.show(findings_view(findings, mended=mended, orphans_deleted=delete_orphans), facts)
    if not mended and (findings.stale_manifest or not findings.sound):
        raise typer.Exit(ExitCode.FAILURE)
