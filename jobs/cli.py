"""The command `mue`: reads the command line, calls one function, prints what it returns.

Neither torch nor ray is imported before a command needs them.
"""

from __future__ import annotations

import importlib.metadata
import json
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated

import typer

from jobs import cli_audit, cli_cluster, cli_config, cli_model
from jobs.cli_corpus import corpus
from jobs.cli_diff import diff_
from jobs.cli_eval import eval_
from jobs.cli_export import export
from jobs.cli_group import MueGroup
from jobs.cli_options import Actors, ConfigFile, Exits, Inputs, Model, OutputOption, Overrides, Task, overrides_of
from jobs.cli_plan import plan
from jobs.cli_read import failures, inspect, status
from jobs.cli_repair import repair
from jobs.cli_report import report
from jobs.cli_retry import retry
from jobs.cli_submit import cancel, logs, resume, scale, submit
from jobs.cli_train import train
from jobs.cli_tune import tune
from jobs.cli_verify import verify
from jobs.doctor import check_line, examine
from jobs.job_folder import open_job
from jobs.jobs_client import JobsClient
from jobs.logs import LogFormat, configure_logs
from jobs.pending import out_of_reach
from jobs.progress import ProgressView
from jobs.ray_job_end import FINAL, final_errors_stop_it, stop_it
from jobs.spec import load_spec
from jobs.summary import summarise
from jobs.summary_view import summary_facts, summary_table
from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode
from pipeline.spec import JobSpec

_EPILOG = "--json, -q, -v and --log-format may stand before or after any command."

app = typer.Typer(
    cls=MueGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
)
app.add_typer(cli_audit.app, name="audit")
app.add_typer(cli_config.app, name="config")
app.add_typer(cli_model.app, name="model")
app.add_typer(cli_cluster.app, name="cluster")


def main() -> None:
    """Run the command line; the exit codes are those of `pipeline.exit_codes`."""
    app(prog_name="mue")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mue {importlib.metadata.version('mue')}")
        raise typer.Exit


@app.callback()
def mue(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print data as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr, no progress.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Debug logs, and tracebacks of errors.")] = False,
    log_format: Annotated[LogFormat, typer.Option(help="Form of logs and progress on stderr.")] = "text",
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Caption image corpora, or ask about them, with an early-exit vision-language model and a ledger of its compute.

    A job reads tars, Parquet files or folders of images and leaves an output folder in which every input row appears
    exactly once. Data goes to stdout, logs and progress to stderr.

    \b
    Example:
      mue run 'shards/{00000..00003}.tar' --output out
      mue status out
      mue export out --format jsonl > captions.jsonl
    """
    verbosity = -1 if quiet else int(verbose)
    context.obj = Terminal(as_json=as_json, verbosity=verbosity, log_format=log_format)
    configure_logs(verbosity=verbosity, log_format=log_format)


@app.command()
def run(
    context: typer.Context,
    inputs: Inputs = None,
    output: OutputOption = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    task: Task = None,
    model: Model = None,
    exits: Exits = None,
    actors: Actors = None,
    stop_ray_job: Annotated[
        bool,
        typer.Option(
            "--stop-ray-job",
            help="In a RayJob of KubeRay's: where a retry would end the same way (exit codes 2 and 3), stop the Ray "
            "job, which is then not retried.",
        ),
    ] = False,
) -> None:
    """Caption every image of the shards, or answer what is asked about it.

    Text and compute of each row are committed exactly once. Without a job file it captions with the built-in model.
    The same command again resumes: what is committed is not computed anew, and a finished job ends at once. Broken
    images and shards become entries with a code ('mue failures OUT'); the job goes on.

    \b
    Example:
      mue run 'shards/{00000..00003}.tar' --output out
      mue run -c job.yaml --set exits.image=0.9 --actors 2
      mue run 'drawn/test/*.tar' --output out --task entailment \\
        --set 'inputs.fields.hypothesis=json:ve[*].hypothesis' --set 'inputs.fields.label=json:ve[*].label'
    """
    terminal: Terminal = context.obj
    settings = overrides_of(overrides, task=task, model=model, exits=exits, actors=actors)
    with final_errors_stop_it(terminal, _ray_jobs) if stop_ray_job else nullcontext():
        spec = load_spec(config_file, inputs=inputs or [], output=output, overrides=settings)
        code = _run(terminal, spec)
    # Shards whose storage did not answer are read again by the next attempt.
    if stop_ray_job and code in FINAL and not out_of_reach(open_job(spec.output.url)):
        stop_it(code, terminal, _ray_jobs)
    raise typer.Exit(int(code))


def _run(terminal: Terminal, spec: JobSpec) -> ExitCode:
    """Run the job and say how it went; returns the exit code."""
    from jobs.run import run_job

    with ProgressView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as progress:
        outcome = run_job(spec, progress=progress)
    if outcome.exit_code in (ExitCode.INTERRUPTED, ExitCode.SIGINT):
        # Whoever stops a job will not wait for all of its rows to be added up.
        terminal.error(outcome.reason)
        return outcome.exit_code
    summary = summarise(open_job(spec.output.url))
    facts = {"output": spec.output.url, "exit_code": int(outcome.exit_code), "reason": outcome.reason}
    facts["summary"] = summary_facts(summary)
    terminal.show(summary_table(summary), facts)
    if outcome.exit_code:
        terminal.error(outcome.reason)
    else:
        terminal.note(f"rows are in {spec.output.url}; 'mue export {spec.output.url} --format jsonl' prints them")
    return outcome.exit_code


def _ray_jobs() -> JobsClient:
    from jobs.ray_jobs import RayJobs

    return RayJobs(None)


for command in (plan, status, inspect, failures, export, report, retry, repair, verify):
    app.command()(command)
for elsewhere in (submit, logs, cancel, resume, scale):
    app.command()(elsewhere)
app.command()(train)
app.command()(tune)
app.command("eval")(eval_)
app.command("diff")(diff_)
app.command()(corpus)


@app.command()
def doctor(
    context: typer.Context,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="OUT", help="Check the disk of OUT.")] = None,
    with_model: Annotated[bool, typer.Option("--model", help="Let the built-in model answer one image.")] = False,
    with_ray: Annotated[bool, typer.Option("--ray", help="Start a local Ray and run one task.")] = False,
) -> None:
    """Check this machine.

    Looks at Python, packages, cores, memory, disks and the accelerator, and says what to do where something is
    wrong. The exit code is 1 if something a job needs is missing.

    \b
    Example:
      mue doctor --ray --model
    """
    terminal: Terminal = context.obj
    found = []
    for check in examine(output=output, with_ray=with_ray, with_model=with_model):
        found.append(check)
        if not terminal.as_json:
            terminal.line(check_line(check))
    if terminal.as_json:
        terminal.line(json.dumps([asdict(check) for check in found], indent=2))
    if any(check.level == "fail" for check in found):
        raise typer.Exit(ExitCode.FAILURE)


if __name__ == "__main__":
    main()
