"""`mue run`: plan or resume, run what is missing, prove that every row is committed once."""

from __future__ import annotations

import logging
import math
from functools import partial

from cluster.local import local_layout
from jobs.failure_budget import FailureBudget
from jobs.machine import this_machine
from jobs.outcome import JobOutcome, judged, stopped
from jobs.pending import any_uncommitted, give_up_bad_shards, out_of_reach, reopen, second_reads, unfinished_reads
from jobs.planning import PreparedJob, prepare
from jobs.progress import ProgressView
from jobs.regularly import regularly
from jobs.run_record import RunRecord, new_attempt
from jobs.stopping import JobStop, StopCause, StopNow, driving
from jobs.watching import show_progress
from pipeline.exit_codes import ExitCode
from pipeline.intents import Suspects
from pipeline.ledger import MANIFEST, Ledger
from pipeline.patience import patiently
from pipeline.plan import Plan
from pipeline.shard_read import ShardRead
from pipeline.spec import JobSpec
from pipeline.storage import Storage

logger = logging.getLogger(__name__)

SEGMENT_SHARDS = 1000
"""Shards of one Dataset."""


def pools_of(shards: float) -> int:
    """Return how many pools of actors a job of so many shards starts, one after another: one for each segment."""
    return max(1, math.ceil(shards / SEGMENT_SHARDS))


def run_job(spec: JobSpec, *, progress: ProgressView) -> JobOutcome:
    """Run the job to its end, or raise what stopped it; the same call again resumes.

    What is committed stays committed however this ends. A finished job returns at once and opens no shard, but those
    that an earlier run gave up because their storage did not answer.
    """
    ledger, attempt = Ledger(Storage.open(spec.output.url)), new_attempt()
    stop = JobStop(ledger.storage, attempt, drain_s=spec.failures.drain_s)
    try:
        with stop.listening():  # from the start: planning takes its time too
            return _planned_and_run(spec, ledger, attempt, stop, progress)
    except StopNow:
        assert stop.cause is not None
        return stopped(stop.cause, ledger)


def _planned_and_run(spec: JobSpec, ledger: Ledger, attempt: str, stop: JobStop, progress: ProgressView) -> JobOutcome:
    job = prepare(spec)
    if not patiently(lambda: ledger.storage.exists(MANIFEST)):
        _check_weights(job)
    plan = patiently(lambda: ledger.adopt_plan(job.plan))
    given_up = patiently(lambda: out_of_reach(ledger))
    if not given_up and patiently(lambda: ledger.finalized(plan)):
        logger.info("every row is committed already: no shard is opened")
        show_progress(progress, plan, ledger.progress())
        return judged(spec.failures, plan, ledger, shards_opened=0)
    with driving(ledger, spec, attempt, stop):
        if given_up:
            logger.warning("%d shards were out of reach and are read again", len(given_up))
            reopen(ledger, given_up)
        return _attempted(job, plan, ledger, RunRecord(ledger, spec, attempt), stop, progress)


def _attempted(
    job: PreparedJob, plan: Plan, ledger: Ledger, record: RunRecord, stop: JobStop, progress: ProgressView
) -> JobOutcome:
    """Make one attempt at the job and record how it ended."""
    try:
        with stop.listening():
            outcome = _run_to_the_end(job, plan, ledger, record, stop, progress)
    except StopNow:
        assert stop.cause is not None
        outcome = stopped(stop.cause, ledger)
        record.end(outcome.exit_code)
    except BaseException as error:
        record.end_badly(error)
        raise
    return outcome


def _run_to_the_end(
    job: PreparedJob, plan: Plan, ledger: Ledger, record: RunRecord, stop: JobStop, progress: ProgressView
) -> JobOutcome:
    budget = FailureBudget(job.spec.failures, ledger)

    def look() -> None:
        committed = ledger.progress()
        show_progress(progress, plan, committed)
        stop.look()
        if stop.cause is None and (reason := budget.exceeded_so_far(committed)):
            stop.request(StopCause(exit_code=ExitCode.FAILURE_BUDGET, reason=reason))
        ledger.compact()

    patiently(look)
    opened = 0
    if stop.cause is None:
        with regularly(look):
            opened = _run_missing(job, plan, ledger, record, stop)
        patiently(look)
    if stop.cause and patiently(lambda: unfinished_reads(plan, ledger) or second_reads(plan, ledger)):
        outcome = stopped(stop.cause, ledger)
        patiently(lambda: record.end(outcome.exit_code))
        return outcome
    outcome = patiently(lambda: judged(job.spec.failures, plan, ledger, shards_opened=opened))
    patiently(lambda: record.end(outcome.exit_code))
    patiently(lambda: ledger.finalize(plan))
    return outcome


def _check_weights(job: PreparedJob) -> None:
    """Refuse weights that do not fit before anything is written."""
    if not job.facts.untrained:
        from mue_model.loading import check_weights

        check_weights(job.facts)


def _run_missing(job: PreparedJob, plan: Plan, ledger: Ledger, record: RunRecord, stop: JobStop) -> int:
    """Run every unfinished shard, then read the bad ones once more; returns how many shards were opened.

    Ends early, with what is in hand committed, once `stop` has a cause.
    """
    reads = unfinished_reads(plan, ledger)
    if not reads and not second_reads(plan, ledger):
        return 0
    # Ray is imported only when there is something to run.
    from jobs.ray_session import ray_session
    from jobs.rounds import Rounds
    from jobs.segment_run import SegmentRun

    machine = this_machine()
    layout = local_layout(machine.cores, memory_gib=machine.memory_gib)
    failures = job.spec.failures
    rounds = Rounds(
        ledger,
        partial(any_uncommitted, ledger),
        max_poison_rows=failures.max_poison_rows,
        watched=record.previous_was_killed,
    )
    shard_ids = [read.shard_id for read in reads]
    again: list[ShardRead] = []
    # Ray installs a SIGTERM handler of its own when it starts, so ours comes again after it.
    with ray_session(num_cpus=layout.ray_num_cpus) as cpus, stop.listening():
        segment_run = SegmentRun(job, plan, ledger, record.attempt, stop, node_cpus=cpus, on_scale=record.note_scale)
        for start in range(0, len(shard_ids), SEGMENT_SHARDS):
            segment = set(shard_ids[start : start + SEGMENT_SHARDS])
            rounds.run(partial(unfinished_reads, plan, ledger, of=segment), segment_run)
        if not stop.cause and (again := patiently(lambda: second_reads(plan, ledger))):
            logger.warning("%d shards could not be read whole and are read once more", len(again))
            left = again
            while left and segment_run(left, False, Suspects()):
                left = patiently(lambda: second_reads(plan, ledger))
    if not stop.cause:
        patiently(lambda: give_up_bad_shards(plan, ledger))
    return len(reads) + len(again)
