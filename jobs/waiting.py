"""Waiting for a submitted job: progress from its output folder, its exit code as if it had run here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from jobs.jobs_client import ClusterError, ClusterJob, JobsClient, SubmissionUnknown
from jobs.progress import ProgressView
from jobs.submissions import Submission
from jobs.watching import pause_after, show_progress
from pipeline.errors import PipelineError
from pipeline.exit_codes import ExitCode
from pipeline.ledger import PLAN, Ledger

logger = logging.getLogger(__name__)

EVERY_S = 2.0
SILENCE_S = 60.0
"""Seconds without an answer after which the cluster is taken to be gone."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a submitted job ended."""

    exit_code: int
    reason: str
    """In words, where the exit code is not 0."""


def wait_for(
    submission: Submission,
    ledger: Ledger,
    client: JobsClient,
    view: ProgressView,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Ended:
    """Show progress until the job has ended; return how.

    The exit code is the driver's own. Where nobody saw it end, because its machine or the cluster is gone, the output
    folder decides: 0 if every row is committed, else 75, for the job can be resumed.
    """
    heard = look_at = clock()
    while True:
        try:
            job = client.job(submission.id)
            heard = clock()
        except SubmissionUnknown as unknown:
            return _unseen(ledger, f"{unknown} any more: it was started anew")
        except ClusterError as error:
            # No answer, or that of what stands before a head that is on its way up or down.
            if clock() - heard > SILENCE_S:
                return _unseen(ledger, f"{error}; it has said nothing else for {SILENCE_S:g} s")
            job = None
        over = job is not None and job.over
        if over or clock() >= look_at:
            began = clock()
            _show(ledger, view)
            look_at = clock() + pause_after(clock() - began, every_s=EVERY_S)
        if job is not None and over:
            return _ended(submission, ledger, job)
        # Of its own, not behind the receipts: an answer that took the cluster a minute must not cost twenty more.
        sleep(EVERY_S)


def _show(ledger: Ledger, view: ProgressView) -> None:
    try:
        if ledger.storage.exists(PLAN):
            show_progress(view, ledger.plan(), ledger.progress())
    except PipelineError as error:
        logger.warning("cannot look at the output (%s); trying again", error)


def _ended(submission: Submission, ledger: Ledger, job: ClusterJob) -> Ended:
    if job.phase == "SUCCEEDED":
        return Ended(exit_code=0, reason="")
    if job.exit_code is not None and job.exit_code > 0:
        return Ended(
            exit_code=job.exit_code,
            reason=f"{submission.id} ended with exit code {job.exit_code}; 'mue logs {ledger.storage.url}' shows why",
        )
    what = "was stopped" if job.phase == "STOPPED" else f"ended, and nobody saw how ({' '.join(job.message.split())})"
    return _unseen(ledger, f"{submission.id} {what}")


def _unseen(ledger: Ledger, what: str) -> Ended:
    if ledger.storage.exists(PLAN) and ledger.finalized(ledger.plan()):
        return Ended(exit_code=0, reason="")
    resume = f"what is committed is kept, and 'mue resume {ledger.storage.url}' goes on"
    return Ended(exit_code=int(ExitCode.INTERRUPTED), reason=f"{what}; {resume}")
