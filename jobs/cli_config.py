"""`mue config`: what may be set, and what is set."""

from __future__ import annotations

import json

import typer

from jobs.cli_options import ConfigFile, Inputs, OutputOption, Overrides
from jobs.settings import example_job, job_schema, spec_as_yaml
from jobs.spec import load_spec
from jobs.terminal import Terminal

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def config() -> None:
    """Show, explain and start job files.

    \b
    Example:
      mue config init > job.yaml
    """


@app.command()
def init(context: typer.Context) -> None:
    """Print an example job file.

    Every setting is explained and shown with its default.

    \b
    Example:
      mue config init > job.yaml
    """
    terminal: Terminal = context.obj
    terminal.line(example_job().rstrip("\n"))


@app.command()
def show(
    context: typer.Context,
    inputs: Inputs = None,
    output: OutputOption = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
) -> None:
    """Check a job and print all its settings.

    They are printed as they would be used, defaults included.

    \b
    Example:
      mue config show -c job.yaml --set exits.image=0.9
    """
    terminal: Terminal = context.obj
    spec = load_spec(config_file, inputs=inputs or [], output=output, overrides=overrides or [])
    if terminal.as_json:
        terminal.line(json.dumps(spec.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        terminal.line(spec_as_yaml(spec).rstrip("\n"))


@app.command()
def schema(context: typer.Context) -> None:
    """Print the JSON schema of job files.

    Editors and other programs can check job files with it.

    \b
    Example:
      mue config schema > job.schema.json
    """
    terminal: Terminal = context.obj
    terminal.line(json.dumps(job_schema(), indent=2))
