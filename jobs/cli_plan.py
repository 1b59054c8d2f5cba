"""The command `mue plan`: only parses, calls the dry run and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli_options import Actors, ConfigFile, Exits, Inputs, Model, OutputOption, Overrides, overrides_of
from jobs.counting_view import counting_shown
from jobs.spec import load_spec
from jobs.terminal import Terminal


def plan(
    context: typer.Context,
    inputs: Inputs = None,
    output: OutputOption = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    model: Model = None,
    exits: Exits = None,
    actors: Actors = None,
    rows: Annotated[int, typer.Option("--rows", min=1, max=256, help="Rows to answer as a sample.")] = 8,
    price_per_hour: Annotated[
        float | None,
        typer.Option("--price-per-hour", metavar="PRICE", min=0, help="Of one hour of all that the job runs on."),
    ] = None,
) -> None:
    """Say what a job would do, take and cost, and answer a few of its rows.

    Refuses whatever 'mue run' would refuse before its first row. Counts rows where that needs no reading, answers a
    sample with the real model in this process, and estimates time from it. Writes only plan.json, which 'mue run'
    with the same inputs and settings adopts.

    \b
    Example:
      mue plan 'shards/{00000..00003}.tar' --output out
      mue plan photos/ --output out --rows 16 --price-per-hour 2.5
    """
    from jobs.dry_run import dry_run
    from jobs.dry_run_view import dry_run_facts, dry_run_view

    terminal: Terminal = context.obj
    settings = overrides_of(overrides, model=model, exits=exits, actors=actors)
    spec = load_spec(config_file, inputs=inputs or [], output=output, overrides=settings)
    with counting_shown(quiet=terminal.verbosity < 0) as on_counted:
        found = dry_run(spec, rows=rows, price_per_hour=price_per_hour, on_counted=on_counted)
    terminal.show(dry_run_view(found), dry_run_facts(found))
    terminal.note(f"'mue run' with the same inputs and settings goes on from {spec.output.url}/plan.json")
