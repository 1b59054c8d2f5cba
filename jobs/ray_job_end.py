"""How a job ends that is a Ray job of KubeRay's: without retries that could only end likewise.

KubeRay looks at the Ray job's status alone: one that FAILED is run again on a new cluster, `backoffLimit` times,
whatever its exit code was. There is no condition to set. One that was STOPPED makes the RayJob `Complete` with
`jobStatus: STOPPED`, which is neither run again nor counted as a success
(`ray-operator/controllers/ray/rayjob_controller.go`; its end-to-end tests have a job that stops itself).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from jobs.jobs_client import ClusterError, JobsClient
from jobs.known_errors import KNOWN_ERRORS, exit_code_of
from jobs.terminal import Terminal
from pipeline.exit_codes import ExitCode

FINAL = (ExitCode.USAGE, ExitCode.FAILURE_BUDGET)
"""What a new cluster would end with again: settings or inputs must change first, or the failure budget."""
ENDED_WITHIN_S = 60.0
_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Where Ray's job server tells a driver its metadata, the submission id among them."""


def own_submission_id() -> str | None:
    """Return the id of the Ray job that this process is the driver of; None where it is none."""
    metadata = json.loads(os.environ.get(_JOB_CONFIG) or "{}").get("metadata") or {}
    return metadata.get("job_submission_id")


@contextmanager
def final_errors_stop_it(
    terminal: Terminal, client: Callable[[], JobsClient], *, wait_s: float = ENDED_WITHIN_S
) -> Iterator[None]:
    """Where an error ends the block with a code of `FINAL`, say it and have the Ray job stopped, as `stop_it` does.

    Raises:
        typer.Exit: With that code, where nothing ended this process. All other errors pass through.
    """
    try:
        yield
    except KNOWN_ERRORS as error:
        code = exit_code_of(error)
        if code not in FINAL:
            raise
        terminal.error(error)
        stop_it(code, terminal, client, wait_s=wait_s)
        raise typer.Exit(code) from error


def stop_it(
    code: ExitCode, terminal: Terminal, client: Callable[[], JobsClient], *, wait_s: float = ENDED_WITHIN_S
) -> None:
    """Have the Ray job stopped that this process is the driver of: the cluster ends the process.

    Returns where there is no Ray job, or where its cluster does not stop it, which it says.
    """
    submission_id = own_submission_id()
    if submission_id is None:
        terminal.error("--stop-ray-job: this is no Ray job, so there is nothing to stop")
        return
    terminal.error(
        f"exit code {int(code)}: another cluster would end the same way, so the Ray job {submission_id} is stopped, "
        "not failed, and not run again; change what is said above, then start it anew"
    )
    try:
        client().stop(submission_id)
    except ClusterError as error:
        terminal.error(f"it could not be stopped and may be run again: {error}")
        return
    # The job server ends this process. One that ended by itself before that would count as failed.
    time.sleep(wait_s)
