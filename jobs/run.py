"""`mue run`: plan or resume, run what is missing, prove that every row is committed once."""

from __future__ import annotations

import _thread
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.local import local_layout, torch_threads
from jobs.failure_budget import over_budget
from jobs.interrupts import Interrupted, sigterm_interrupts
from jobs.machine import this_machine
from jobs.pending import give_up_bad_shards, second_reads, unfinished_reads
from jobs.planning import PreparedJob, prepare
from jobs.progress import ProgressView
from jobs.run_record import RunRecord, new_attempt
from jobs.watching import pause_after, show_progress
from pipeline.errors import PipelineError
from pipeline.exit_codes import ExitCode
from pipeline.lease_keeper import held_lease
from pipeline.ledger import MANIFEST, Ledger
from pipeline.plan import Plan
from pipeline.shard_read import ShardRead
from pipeline.spec import JobSpec
from pipeline.storage import Storage

logger = logging.getLogger(__name__)

SEGMENT_SHARDS = 1000
"""Shards of one Dataset."""
POLL_S = 1.0
"""Seconds between two looks at the receipts for the progress display."""


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How a run ended."""

    exit_code: ExitCode
    reason: str = ""
    """Why, where the exit code is not 0."""
    shards_opened: int = 0


def run_job(spec: JobSpec, *, progress: ProgressView) -> JobOutcome:
    """Run the job to its end, or raise what stopped it; the same call again resumes.

    What is committed stays committed however this ends. A finished job returns at once and opens no shard.
    """
    job = prepare(spec)
    ledger = Ledger(Storage.open(spec.output.url))
    if not ledger.storage.exists(MANIFEST):
        _check_weights(job)
    plan = ledger.adopt_plan(job.plan)
    if ledger.finalized(plan):
        logger.info("every row is committed already: no shard is opened")
        _show(progress, plan, ledger)
        return _judged(spec, plan, ledger, shards_opened=0)
    attempt = new_attempt()
    with held_lease(ledger.storage, attempt=attempt, length_s=spec.output.lease_s, on_lost=_interrupt_main) as lease:
        outcome = _attempted(job, plan, ledger, attempt, progress)
        if lease.lost:
            reason = f"{spec.output.url}: another driver has taken over, or the lease was deleted; committed rows stay"
            outcome = JobOutcome(exit_code=ExitCode.FAILURE, reason=reason)
    return outcome


def _interrupt_main() -> None:
    """Have the main thread stop as if SIGTERM had come, where it handles that."""
    _thread.interrupt_main(signal.SIGTERM)


def _attempted(job: PreparedJob, plan: Plan, ledger: Ledger, attempt: str, progress: ProgressView) -> JobOutcome:
    """Make one attempt at the job and record how it ended."""
    record = RunRecord(ledger, job.spec, attempt)
    try:
        with _shown(progress, plan, ledger):
            opened = _run_missing(job, plan, ledger, attempt)
        outcome = _judged(job.spec, plan, ledger, shards_opened=opened)
        record.end(outcome.exit_code)
        ledger.finalize(plan)
    except KeyboardInterrupt:
        outcome = JobOutcome(exit_code=ExitCode.SIGINT, reason="stopped by SIGINT; the same command resumes")
        record.end(outcome.exit_code)
    except Interrupted:
        outcome = JobOutcome(exit_code=ExitCode.INTERRUPTED, reason="stopped by SIGTERM; the same command resumes")
        record.end(outcome.exit_code)
    except BaseException:
        record.end(ExitCode.FAILURE)
        raise
    return outcome


def _check_weights(job: PreparedJob) -> None:
    """Refuse weights that do not fit before anything is written."""
    if not job.facts.untrained:
        from mue_model.loading import check_weights

        check_weights(job.facts)


def _judged(spec: JobSpec, plan: Plan, ledger: Ledger, *, shards_opened: int) -> JobOutcome:
    reason = over_budget(spec.failures, plan, ledger)
    exit_code = ExitCode.FAILURE_BUDGET if reason else ExitCode.OK
    return JobOutcome(exit_code=exit_code, reason=reason or "", shards_opened=shards_opened)


def _run_missing(job: PreparedJob, plan: Plan, ledger: Ledger, attempt: str) -> int:
    """Run every unfinished shard, then read the bad ones once more; returns how often a shard was opened."""
    reads = unfinished_reads(plan, ledger)
    if not reads and not second_reads(plan, ledger):
        return 0
    # Ray is imported only when there is something to run.
    from jobs.ray_session import ray_session
    from pipeline.build import Segment, run_segment

    machine = this_machine()
    layout = local_layout(machine.cores, memory_gib=machine.memory_gib)
    spec = _with_threads(job.spec, machine.cores)

    def run(number: int, reads: list[ShardRead]) -> None:
        segment = Segment(number=number, attempt=attempt, reads=reads, fingerprint=plan.fingerprint)
        run_segment(spec, segment, job.facts, job.exits, job.generation)

    # Ray installs a SIGTERM handler of its own when it starts, so ours comes after it.
    with ray_session(num_cpus=layout.ray_num_cpus), sigterm_interrupts():
        starts = range(0, len(reads), SEGMENT_SHARDS)
        for number, start in enumerate(starts):
            run(number, reads[start : start + SEGMENT_SHARDS])
        again = second_reads(plan, ledger)
        if again:
            logger.warning("%d shards could not be read whole and are read once more", len(again))
            run(len(starts), again)
    give_up_bad_shards(plan, ledger)
    return len(reads) + len(again)


def _with_threads(spec: JobSpec, cores: int) -> JobSpec:
    """Give actors on a CPU the machine's cores, which Ray would otherwise cut to its scheduling token."""
    if spec.engine.threads:
        return spec
    threads = torch_threads(cores, spec.actors.max or spec.actors.min)
    return spec.model_copy(update={"engine": spec.engine.model_copy(update={"threads": threads})})


@contextmanager
def _shown(progress: ProgressView, plan: Plan, ledger: Ledger) -> Iterator[None]:
    """Keep the progress display up to date with the receipts while the block runs."""
    done = threading.Event()

    def poll() -> None:
        pause_s = POLL_S
        while not done.wait(pause_s):
            began = time.monotonic()
            try:
                _show(progress, plan, ledger)
                ledger.compact()
            except PipelineError as error:
                logger.warning("the receipts could not be looked at: %s", error)
            pause_s = pause_after(time.monotonic() - began, every_s=POLL_S)

    thread = threading.Thread(target=poll, name="mue-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _show(progress, plan, ledger)


def _show(progress: ProgressView, plan: Plan, ledger: Ledger) -> None:
    show_progress(progress, plan, ledger.progress())
