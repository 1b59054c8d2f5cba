"""The command `mue`: reads the command line, calls one function, prints what it returns.

Neither torch nor ray is imported before a command needs them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jobs import cli_config, cli_model
from jobs.cli_options import (
    Actors,
    ConfigFile,
    Exits,
    Inputs,
    Model,
    OutputArgument,
    OutputOption,
    Overrides,
    overrides_of,
)
from jobs.doctor import check_line, examine
from jobs.export import Format, RowsWanted, export_lines, write_lines
from jobs.failures import failure_line, failures_of
from jobs.inspection import find_rows, rows_view
from jobs.job_folder import open_job
from jobs.known_errors import KNOWN_ERRORS, exit_code_of
from jobs.logs import LogFormat, configure_logs
from jobs.progress import ProgressView
from jobs.spec import load_spec
from jobs.status import status_facts, status_of, status_view
from jobs.summary import summarise
from jobs.summary_view import summary_facts, summary_table
from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode
from pipeline.ledger import MANIFEST

_FLAGS = {"--json", "-q", "--quiet", "-v", "--verbose"}
_EPILOG = "--json, -q, -v and --log-format may stand before or after any command."


class MueGroup(TyperGroup):
    """The root command: global options may stand anywhere, and known errors end in one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the global options moved to the front."""
        return super().parse_args(ctx, _globals_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a fault of ours keeps its traceback."""
        try:
            return super().invoke(ctx)
        except KNOWN_ERRORS as error:
            (ctx.obj or Terminal()).error(error)
            raise typer.Exit(exit_code_of(error)) from error
        except KeyboardInterrupt as error:
            (ctx.obj or Terminal()).note("interrupted; the same command resumes")
            raise typer.Exit(ExitCode.SIGINT) from error
        except BrokenPipeError as error:
            # The reader went away, as in `mue export OUT | head`: nothing more can be said on stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.FAILURE) from error


app = typer.Typer(
    cls=MueGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
)
app.add_typer(cli_config.app, name="config")
app.add_typer(cli_model.app, name="model")


def main() -> None:
    """Run the command line; the exit codes are those of `pipeline.exit_codes`."""
    app(prog_name="mue")


def _globals_first(args: list[str]) -> list[str]:
    front: list[str] = []
    rest: list[str] = []
    left = iter(args)
    for arg in left:
        if arg == "--":
            rest += [arg, *left]
        elif arg in _FLAGS or arg.startswith("--log-format="):
            front.append(arg)
        elif arg == "--log-format":
            front += [arg, *[value for value in [next(left, None)] if value is not None]]
        else:
            rest.append(arg)
    return front + rest


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
    """Caption image corpora with an early-exit vision-language model, with a ledger of the compute really spent.

    A job reads WebDataset tars and leaves an output folder in which every input row appears exactly once.
    Data goes to stdout, logs and progress to stderr.

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
    model: Model = None,
    exits: Exits = None,
    actors: Actors = None,
) -> None:
    """Caption every image of the shards.

    Text and compute of each row are committed exactly once. Without a job file it captions with the built-in model.
    The same command again resumes: what is committed is not computed anew, and a finished job ends at once. Broken
    images and shards become entries with a code ('mue failures OUT'); the job goes on.

    \b
    Example:
      mue run 'shards/{00000..00003}.tar' --output out
      mue run -c job.yaml --set exits.image=0.9 --actors 2
    """
    terminal: Terminal = context.obj
    settings = overrides_of(overrides, model=model, exits=exits, actors=actors)
    spec = load_spec(config_file, inputs=inputs or [], output=output, overrides=settings)
    from jobs.run import run_job

    with ProgressView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as progress:
        outcome = run_job(spec, progress=progress)
    summary = summarise(open_job(spec.output.url))
    facts = {"output": spec.output.url, "exit_code": int(outcome.exit_code), "reason": outcome.reason}
    facts["summary"] = summary_facts(summary)
    terminal.show(summary_table(summary), facts)
    if outcome.exit_code:
        terminal.error(outcome.reason)
    else:
        terminal.note(f"rows are in {spec.output.url}; 'mue export {spec.output.url} --format jsonl' prints them")
    raise typer.Exit(int(outcome.exit_code))


@app.command()
def status(context: typer.Context, output: OutputArgument) -> None:
    """Say where a job stands.

    Reads state, rows, failures and compute from the output folder alone. Works for running and finished jobs, and
    from another machine.

    \b
    Example:
      mue status out
    """
    terminal: Terminal = context.obj
    found = status_of(open_job(output))
    terminal.show(status_view(found), status_facts(found))


@app.command()
def inspect(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="UID", help="A row's uid, or a key; keys may repeat.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Output folder of the job.")],
) -> None:
    """Print everything known about one row.

    That is its text, layers run, FLOPs, times and failure. A uid names one row; a key may name several.

    \b
    Example:
      mue inspect 000000-coco/17/0 --output out
    """
    terminal: Terminal = context.obj
    rows = find_rows(open_job(output), name)
    terminal.show(rows_view(rows), rows)


@app.command()
def failures(
    context: typer.Context,
    output: OutputArgument,
    code: Annotated[str | None, typer.Option("--code", help="Only failures with this code.")] = None,
) -> None:
    """List bad shards and failed rows.

    One a line, with code and message; with --json one JSON object a line.

    \b
    Example:
      mue failures out --code corrupt_image
    """
    terminal: Terminal = context.obj
    kinds: Counter[str] = Counter()
    for failure in failures_of(open_job(output), code=code):
        kinds[failure.kind] += 1
        terminal.line(json.dumps(asdict(failure), ensure_ascii=False) if terminal.as_json else failure_line(failure))
    terminal.note(f"failed rows: {kinds['row']:,}, bad shards: {kinds['shard']:,}")


@app.command()
def export(
    context: typer.Context,
    output: OutputArgument,
    format: Annotated[Format, typer.Option("--format", "-f", help="jsonl: all columns. txt: uid, key, text, by tabs.")],
    to: Annotated[str | None, typer.Option("--to", metavar="FILE", help="Local file; left out: stdout.")] = None,
    status: Annotated[RowsWanted, typer.Option("--status", help="Rows with a text, or all of them.")] = "ok",
) -> None:
    """Print the rows, one a line.

    Join them back to their images by uid, or by key where keys are unique; never by position.

    \b
    Example:
      mue export out --format jsonl --to captions.jsonl
    """
    terminal: Terminal = context.obj
    ledger = open_job(output)
    if not ledger.storage.exists(MANIFEST):
        terminal.note("the job is not finished: these are the rows committed so far")
    lines = export_lines(ledger, format=format, status=status)
    if to is None:
        sys.stdout.writelines(lines)
    else:
        terminal.note(f"{write_lines(lines, to):,} rows written to {to}")


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
