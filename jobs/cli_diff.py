"""The command `mue diff`: only parses and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.diff import diff
from jobs.diff_view import diff_facts, diff_view, notes
from jobs.job_folder import open_job
from jobs.terminal import Terminal


def diff_(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="Output folder of one job.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Output folder of another job over the same inputs.")],
    most: Annotated[int, typer.Option("--most", metavar="N", min=0, help="How many changed rows are shown.")] = 20,
    common: Annotated[
        bool, typer.Option("--common", help="Where the inputs differ, compare the rows that both jobs have.")
    ] = False,
) -> None:
    """Compare the answers of two jobs over the same inputs.

    With other exits, another model, or at full depth: how many rows have the same answer, which changed most, and what
    either job spent on them. Rows meet by shard, row and query; different inputs are refused.

    \b
    Example:
      mue diff out full-depth
      mue diff out full-depth --most 100 --json
    """
    terminal: Terminal = context.obj
    found = diff(open_job(a), open_job(b), common=common, most=most)
    terminal.show(diff_view(found), diff_facts(found))
    for note in notes(found):
        terminal.note(note)
