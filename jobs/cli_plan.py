"""The command `mue plan`: only parses, calls the dry run and prints."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from cluster.projection import LEAST_ROWS_PER_S, MOST_NODES, MOST_ROWS
from jobs.cli_options import Actors, ConfigFile, Exits, Inputs, Model, OutputOption, Overrides, overrides_of
from jobs.counting_view import counting_shown
from jobs.spec import load_spec
from jobs.terminal import Terminal, pairs_table
from mue_model.brief import brief
from mue_model.config import ConfigError

MOST_OF_A_NODE = 10**6
MOST_PRICE = 10**9


def plan(
    context: typer.Context,
    inputs: Inputs = None,
    output: OutputOption = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    model: Model = None,
    exits: Exits = None,
    actors: Actors = None,
    sample: Annotated[int, typer.Option("--sample", min=1, max=256, help="Rows to answer as a sample.")] = 8,
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            "--price-per-hour",
            metavar="PRICE",
            help="Of one hour of all that the job runs on; with --nodes of one node.",
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", help="Say what the job would take on a cluster of so many nodes.")
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", help="GPUs of one of them.")] = 0,
    cpus: Annotated[
        int | None, typer.Option("--cpus", help="CPUs of one of them; left out: those of this machine.")
    ] = None,
    rows: Annotated[
        float | None,
        typer.Option("--rows", metavar="N", help="Rows there, as in 1e9; left out: those of the inputs."),
    ] = None,
    actor_rows_per_s: Annotated[
        float | None,
        typer.Option(
            "--actor-rows-per-s", metavar="X", help="Of one actor there; left out: as the sample is answered."
        ),
    ] = None,
) -> None:
    """Say what a job would do, take and cost, and answer a few of its rows.

    Refuses whatever 'mue run' would refuse before its first row. Counts rows where that needs no reading, answers a
    sample with the real model in this process, and estimates time from it. Writes only plan.json, which 'mue run'
    with the same inputs and settings adopts.

    \b
    Example:
      mue plan 'shards/{00000..00003}.tar' --output out
      mue plan photos/ --output out --sample 16 --price-per-hour 2.5
      mue plan 'shards/*.tar' --output out --nodes 64 --gpus 8 --cpus 96 --rows 1e9 --actor-rows-per-s 110
    """
    from jobs.cluster_plan import ClusterQuestion, cluster_plan_facts, cluster_plan_rows, plan_for_cluster
    from jobs.dry_run import dry_run
    from jobs.dry_run_view import dry_run_facts, dry_run_view

    terminal: Terminal = context.obj
    _check("--nodes", nodes, 1, MOST_NODES)
    _check("--gpus", gpus, 0, MOST_OF_A_NODE)
    _check("--cpus", cpus, 1, MOST_OF_A_NODE)
    _check("--rows", rows, 1, MOST_ROWS)
    _check("--actor-rows-per-s", actor_rows_per_s, LEAST_ROWS_PER_S, MOST_ROWS)
    _check("--price-per-hour", price_per_hour, 0, MOST_PRICE)
    if nodes is None and (gpus or cpus or rows or actor_rows_per_s):
        raise ConfigError("--gpus, --cpus, --rows and --actor-rows-per-s describe a cluster: add --nodes")
    settings = overrides_of(overrides, model=model, exits=exits, actors=actors)
    spec = load_spec(config_file, inputs=inputs or [], output=output, overrides=settings)
    with counting_shown(quiet=terminal.verbosity < 0) as on_counted:
        price = price_per_hour if nodes is None else None
        found = dry_run(spec, rows=sample, price_per_hour=price, on_counted=on_counted)
    view, facts = dry_run_view(found), dry_run_facts(found)
    if nodes is not None:
        question = ClusterQuestion(
            nodes=nodes,
            gpus=gpus,
            cpus=cpus,
            rows=None if rows is None else round(rows),
            rows_per_s_per_actor=actor_rows_per_s,
            price_per_node_hour=price_per_hour,
        )
        there = plan_for_cluster(found, question)
        view = Group(view, Text(), pairs_table(cluster_plan_rows(there)))
        facts["cluster"] = cluster_plan_facts(there)
    terminal.show(view, facts)
    terminal.note(f"'mue run' with the same inputs and settings goes on from {spec.output.url}/plan.json")


def _check(option: str, value: float | None, least: float, most: float) -> None:
    """Refuse what no cluster has, and what is no number, before anything is computed."""
    if value is not None and not least <= value <= most:
        raise ConfigError(f"{option} {brief(value)}: expected a number from {least:,} to {most:,}")
