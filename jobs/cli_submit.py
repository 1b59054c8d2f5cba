"""The commands for jobs on a cluster: submit, resume, logs, cancel, scale. They only parse, call and print."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from jobs.cli_interrupt import goes_on, interrupt_says, stays_asked
from jobs.cli_options import (
    Actors,
    ConfigFile,
    Exits,
    Inputs,
    Model,
    OutputArgument,
    OutputOption,
    Overrides,
    RunName,
    Task,
    actor_bounds,
    overrides_of,
)
from jobs.job_folder import open_job
from jobs.jobs_client import JobsClient
from jobs.own_job import check_own_job
from jobs.printable import printable_lines
from jobs.progress import ProgressView
from jobs.spec import load_spec
from jobs.submissions import Submission, last_submission
from jobs.terminal import Terminal, pairs_table
from jobs.trusted_clusters import trusted_address
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.spec import JobSpec
from pipeline.storage import Storage

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="The cluster: its dashboard's URL, HOST:PORT of its head, or auto. Left out: where the job was submitted "
        "last, if you submitted there from this machine; else RAY_ADDRESS, else a Ray on this machine.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", "-w", help="Show progress until the job ends, and exit with its exit code.")
]
SharedPaths = Annotated[
    bool, typer.Option("--shared-paths", help="Every node sees the same file system here: let paths through.")
]
Check = Annotated[
    bool, typer.Option("--check/--no-check", help="Look up shards, model and exits on this machine before sending.")
]


def submit(
    context: typer.Context,
    inputs: Inputs = None,
    output: OutputOption = None,
    address: Address = None,
    wait: Wait = False,
    run: RunName = None,
    shared_paths: SharedPaths = False,
    check: Check = True,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    task: Task = None,
    model: Model = None,
    exits: Exits = None,
    actors: Actors = None,
) -> None:
    """Run a job on a Ray cluster.

    Takes what 'mue run' takes. Checks inputs, model and output first: a path on this machine is refused where the
    cluster has other machines. Sends our own code and the settings; no data, checkpoints, keys or environments. The
    same command again resumes. Nothing on this machine is needed from then on.

    \b
    Example:
      mue submit 's3://in/{00000..00999}.tar' --output s3://out/run --actors 2:8 --address http://127.0.0.1:8265
      mue submit -c job.yaml --address auto --wait
    """
    settings = overrides_of(overrides, task=task, model=model, exits=exits, actors=actors)
    spec = load_spec(config_file, inputs=inputs or [], output=output, overrides=settings)
    _hand_over(context.obj, spec, _client(address), run=run, shared_paths=shared_paths, check=check, wait=wait)


def resume(
    context: typer.Context,
    output: OutputArgument,
    address: Address = None,
    wait: Wait = False,
    shared_paths: SharedPaths = False,
    check: Check = True,
    actors: Actors = None,
) -> None:
    """Hand a job over once more.

    With the settings of its last submission or run; --actors may differ. On the same cluster or another one: what is
    committed lies in the output folder and is not computed anew.

    \b
    Example:
      mue resume s3://out/run
      mue resume s3://out/run --address http://other:8265 --actors 8 --wait
    """
    from jobs.submit import resume_spec

    storage = Storage.open(output)
    spec = resume_spec(storage)
    if actors is not None:
        low, high = actor_bounds(actors)
        spec = spec.model_copy(update={"actors": spec.actors.model_copy(update={"min": low, "max": high})})
    name = last_submission(storage).run if _was_submitted(storage) else None
    client = _client_of(storage, address)
    _hand_over(context.obj, spec, client, run=name, shared_paths=shared_paths, check=check, wait=wait)


def logs(
    context: typer.Context,
    output: OutputArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    number: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="Of the submission; left out: the last one.")
    ] = None,
    address: Address = None,
) -> None:
    """Print what a submitted job's driver wrote.

    One JSON object a line. A cluster forgets its logs when it ends; 'mue status' and 'mue failures' work without one.

    \b
    Example:
      mue logs s3://out/run --follow
    """
    storage = Storage.open(output)
    submission = last_submission(storage, number)
    client = _client_of(storage, address)
    check_own_job(client, submission, storage)
    with interrupt_says(context.obj, "the job does not need this"):
        for text in client.follow(submission.id) if follow else [client.logs(submission.id)]:
            # Whoever reads along has a terminal to lose; a file or a pipe gets what was written.
            sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()


def cancel(
    context: typer.Context,
    output: OutputArgument,
    wait: Annotated[float, typer.Option("--wait", metavar="S", min=0, help="Seconds to wait for its end.")] = 60.0,
    now: Annotated[
        bool, typer.Option("--now", help="Do not let rows in hand finish: have the cluster end it.")
    ] = False,
    address: Address = None,
) -> None:
    """Ask a running job to end.

    The rows in hand finish and are committed, then it exits with 75; it can be resumed. Works for jobs that run
    anywhere, through control.json in the output folder. Exits with 1 if the job still runs after the waiting.

    \b
    Example:
      mue cancel out
      mue cancel s3://out/run --now
    """
    from jobs.steering import cancel as request

    terminal: Terminal = context.obj
    ledger = open_job(output)
    if now:
        submission = last_submission(ledger.storage)
        client = _client_of(ledger.storage, address)
        check_own_job(client, submission, ledger.storage)
        ran = client.stop(submission.id)
        terminal.note(f"{submission.id} {'is being ended' if ran else 'had ended already'}")
    with interrupt_says(terminal, stays_asked(output)):
        done = request(ledger, wait_s=wait)
    facts = {"output": ledger.storage.url, "attempt": done.attempt, "ended_s": done.ended_s}
    if done.attempt is None:
        terminal.show(pairs_table([("job", ledger.storage.url), ("running", "nothing")]), facts)
        return
    said = "not yet; it goes on finishing the rows in hand" if done.ended_s is None else f"after {done.ended_s:.1f} s"
    terminal.show(pairs_table([("attempt", done.attempt), ("ended", said)]), facts)
    if done.ended_s is None:
        raise typer.Exit(ExitCode.FAILURE)


def scale(
    context: typer.Context,
    output: OutputArgument,
    actors: Annotated[str, typer.Option("--actors", metavar="N or MIN:MAX", help="Model actors from now on.")],
    within: Annotated[
        str | None,
        typer.Option("--within", metavar="TIME", help="As few of MIN:MAX as finish the job in this time, as in 2h."),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", metavar="S", min=0, help="Seconds to wait until it is so.")] = 120.0,
) -> None:
    """Give a running job other actors, without stopping it.

    The rows in hand are committed, then the job goes on with a new pool; rows on the way to the model are read again.
    Says how long that took. Holds until the attempt ends; a later one has the actors of its settings. Exits with 1 if
    the job has no new pool after the waiting.

    \b
    Example:
      mue scale out --actors 2:8
      mue scale out --actors 1:64 --within 2h
    """
    from jobs.scaling_advice import advise, seconds_of
    from jobs.steering import resizable_attempt
    from jobs.steering import scale as request

    terminal: Terminal = context.obj
    ledger = open_job(output)
    low, high = actor_bounds(actors)
    if within is not None:
        resizable_attempt(ledger, min_actors=low, max_actors=high)
        advice = advise(ledger, within_s=seconds_of(within), min_actors=low, max_actors=high)
        rate = "an unknown rate" if advice.rows_per_s is None else f"{advice.rows_per_s:,.1f} rows/s"
        terminal.note(f"{advice.backlog_rows:,} rows are left at {rate} with {advice.actors_now} actors")
        if advice.actors == advice.actors_now:
            terminal.show(pairs_table([("actors", f"{advice.actors}, as they are")]), {"advice": asdict(advice)})
            return
        low = high = advice.actors
    with interrupt_says(terminal, stays_asked(output)):
        done = request(ledger, min_actors=low, max_actors=high, wait_s=wait)
    facts = {
        "attempt": done.scale.attempt,
        "actors": {"min": low, "max": high},
        "in_force_s": done.in_force_s,
        "first_part_s": done.first_part_s,
        "ended": done.ended,
        "replaced": done.replaced,
    }
    missing = "the job ended before" if done.ended else "not yet" if wait else "not waited for"
    if done.replaced:
        missing = "another request came in between"
    told = [
        (name, missing if seconds is None else f"after {seconds:.1f} s")
        for name, seconds in (("new pool", done.in_force_s), ("its first rows", done.first_part_s))
    ]
    terminal.show(pairs_table([("actors", f"{low} to {high}"), *told]), facts)
    if wait and done.in_force_s is None:
        raise typer.Exit(ExitCode.FAILURE)


def _hand_over(
    terminal: Terminal,
    spec: JobSpec,
    client: JobsClient,
    *,
    run: str | None,
    shared_paths: bool,
    check: bool,
    wait: bool,
) -> None:
    from jobs.submit import SubmitOptions, submit_job

    found = submit_job(spec, client, SubmitOptions(run=run, shared_paths=shared_paths, check=check))
    output = found.spec["output"]["url"]
    facts: dict[str, Any] = {"submission_id": found.id, "address": found.address, "output": output}
    shown = [("submitted", found.id), ("cluster", found.address), ("output", output)]
    if not wait:
        terminal.show(
            pairs_table([*shown, ("follow it", f"mue logs {output} --follow; mue status {output} -w")]), facts
        )
        return
    terminal.note(f"submitted {found.id} to {found.address}; Ctrl-C ends the waiting, not the job")
    with interrupt_says(terminal, goes_on(output)):
        ended = _wait(terminal, found, client, output)
    facts |= {"exit_code": ended.exit_code, "reason": ended.reason}
    terminal.show(pairs_table([*shown, ("exit code", str(ended.exit_code))]), facts)
    if ended.exit_code:
        terminal.error(ended.reason)
    raise typer.Exit(ended.exit_code)


def _wait(terminal: Terminal, found: Submission, client: JobsClient, output: str) -> Any:
    from jobs.waiting import wait_for

    with ProgressView.for_terminal(quiet=terminal.verbosity < 0, log_format=terminal.log_format) as view:
        return wait_for(found, Ledger(Storage.open(output)), client, view)


def _client(address: str | None) -> JobsClient:
    from jobs.ray_jobs import RayJobs

    return RayJobs(address)


def _client_of(storage: Storage, address: str | None) -> JobsClient:
    """The cluster that is named, else the one where the job was submitted last, if this user has been there."""
    if address is None and _was_submitted(storage):
        last = last_submission(storage)
        address = trusted_address(last.address, where=f"{storage.url}/{last.path}")
    return _client(address)


def _was_submitted(storage: Storage) -> bool:
    return bool(storage.list("submissions"))
