"""`mue cluster`: clusters as files, and manifests of them. Only parses and prints."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.profiles import PROFILES
from jobs.cli_options import (
    Actors,
    ConfigFile,
    Exits,
    Inputs,
    Model,
    OutputOption,
    Overrides,
    RunName,
    Task,
    overrides_of,
)
from jobs.cluster_file import Target, known_profile, load_cluster, rendered
from jobs.spec import load_spec
from jobs.terminal import Terminal

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Profile = Annotated[str, typer.Option("--profile", metavar="NAME", help=f"One of {', '.join(PROFILES)}.")]


@app.callback()
def cluster() -> None:
    """Describe the machines of a job, and make manifests of them.

    \b
    Example:
      mue cluster init --profile gpu-spot > cluster.yaml
      mue cluster render rayjob --cluster cluster.yaml 's3://in/*.tar' --output s3://out/run > job.yaml
      kubectl apply --server-side -f job.yaml
    """


@app.command()
def init(context: typer.Context, profile: Profile = "cpu") -> None:
    """Print a cluster file to start from.

    Its first lines say what of it was really run, and what was only rendered.

    \b
    Example:
      mue cluster init --profile gpu-spot > cluster.yaml
    """
    terminal: Terminal = context.obj
    terminal.line(known_profile(profile).rstrip("\n"))


@app.command()
def render(
    context: typer.Context,
    target: Annotated[Target, typer.Argument(metavar="TARGET", help="raycluster, rayjob or slurm.")],
    inputs: Inputs = None,
    output: OutputOption = None,
    cluster_file: Annotated[
        str | None, typer.Option("--cluster", metavar="FILE", help="Cluster file; left out: the profile as it is.")
    ] = None,
    profile: Profile = "cpu",
    cluster_overrides: Annotated[
        list[str] | None,
        typer.Option("--set-cluster", metavar="KEY=VALUE", help="A setting of the cluster, as in grace_s=120."),
    ] = None,
    run: RunName = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    task: Task = None,
    model: Model = None,
    exits: Exits = None,
    actors: Actors = None,
) -> None:
    """Print a KubeRay manifest, or a Slurm script.

    'raycluster' is a cluster that stays, for 'mue submit'. 'rayjob' is a job with clusters of its own: one that fails
    is run anew on a new one and resumes from the output folder, which must be a URL or lie under shared_path. 'slurm'
    is a script for sbatch that is requeued until every row is done. Nothing is contacted.

    \b
    Example:
      mue cluster render raycluster --profile gpu > cluster.yaml
      mue cluster render rayjob 's3://in/*.tar' --output s3://out/run --actors 2:8 > job.yaml
      mue cluster render slurm --profile slurm '/data/*.tar' --output /scratch/run > job.sbatch
    """
    terminal: Terminal = context.obj
    spec = load_cluster(cluster_file, profile=profile, overrides=cluster_overrides or [])
    job = None
    if target != "raycluster":
        settings = overrides_of(overrides, task=task, model=model, exits=exits, actors=actors)
        job = load_spec(config_file, inputs=inputs or [], output=output, overrides=settings)
    terminal.line(rendered(target, spec, job, run=run).rstrip("\n"))
