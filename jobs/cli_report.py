"""The command `mue report`: only parses and prints."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from jobs.cli_options import OutputArgument
from jobs.footprint_factors import EXAMPLE, FootprintFactors, read_factors
from jobs.job_folder import open_job
from jobs.terminal import Terminal, pairs_table


def report(
    context: typer.Context,
    output: OutputArgument,
    factors: Annotated[
        str | None,
        typer.Option(
            "--factors",
            metavar="FILE",
            help="YAML with power, PUE, grid factor and prices, each with source and date; the rest is unknown.",
        ),
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=0, help="About how many rows are shown.")
    ] = 24,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show small pictures, read again from the inputs.")
    ] = True,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="As of 'mue verify': the model's folder, if it moved."),
    ] = None,
    inputs: Annotated[
        str | None, typer.Option("--inputs", metavar="FOLDER", help="As of 'mue verify': the inputs, if they moved.")
    ] = None,
    rerun: Annotated[
        int, typer.Option("--rerun", metavar="K", min=0, help="As of 'mue verify': answer K random rows again.")
    ] = 0,
    print_factors: Annotated[
        bool, typer.Option("--print-factors", help="Print an example of such a file, and do nothing else.")
    ] = False,
) -> None:
    """Write a report that a third party can check.

    OUT/report/index.html is one page without network or scripts: verdict and evidence first, three savings apart,
    every input row, depths, failures, energy, cost and carbon, examples. Beside it report.json, report.md,
    recompute.sql for DuckDB, and the manifest that it is made from. The evidence level is what 'mue verify' finds at
    that moment. Numbers that were not measured say so, and what to run.

    \b
    Example:
      mue report out
      mue report out --print-factors > factors.yaml
      mue report out --factors factors.yaml
    """
    terminal: Terminal = context.obj
    if print_factors:
        terminal.line(EXAMPLE.rstrip())
        return
    from jobs.report import FOLDER, write_report
    from jobs.verify import VerifySettings

    stated = FootprintFactors() if factors is None else read_factors(factors)
    settings = VerifySettings(model=model, inputs=inputs, rerun=rerun, seed=secrets.randbelow(2**32))
    document = write_report(open_job(output), stated, settings, examples=examples, pictures=pictures)
    found = document["verdict"]
    lines = [("verdict", found["headline"]), ("evidence level", document["verification"]["evidence"]["name"])]
    lines += [
        (
            f"({card['letter']})" if card["letter"] else "answers",
            f"{card['value'] or 'not measured'}: {card['question']}",
        )
        for card in found["cards"]
    ]
    terminal.show(pairs_table(lines), document)
    terminal.note(f"written to {document['output']}/{FOLDER}: index.html, report.json, report.md, recompute.sql")
