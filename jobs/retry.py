"""`mue retry`: failed rows alone are run anew, and take their old places; everything else stays as it is.

Killed at any moment, the output is whole; the same command goes on with what still failed. Of two retries at once one
wins each part, by the ledger's rule for overlaps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from cluster.local import local_layout
from jobs.job_folder import RUN, open_job, run_facts
from jobs.machine import this_machine
from jobs.outcome import JobOutcome, judged, stopped
from jobs.pending import reads_of
from jobs.planning import PreparedJob, prepare
from jobs.progress import ProgressView
from jobs.regularly import regularly
from jobs.run_record import RunRecord, new_attempt
from jobs.segment_audit import shadows_alone
from jobs.stopping import JobStop, StopNow, driving
from mue_model.config import ConfigError, parse_config
from mue_model.config_errors import unknown_key
from pipeline.errors import PipelineError
from pipeline.ledger import Ledger
from pipeline.patience import patiently
from pipeline.plan import Plan
from pipeline.records import ErrorCode, RowStatus
from pipeline.rewrite import PartRewriter, failed_rows
from pipeline.spec import JobSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetryOutcome:
    """What a retry did, and how the job stands after it."""

    job: JobOutcome
    rows_wanted: int
    rows_by_status: dict[str, int]
    """What became of the rows that were run; those that failed again have one attempt more."""

    @property
    def rows_absent(self) -> int:
        """Rows that did not come again: their shard could not be read so far, or the retry was stopped."""
        return self.rows_wanted - sum(self.rows_by_status.values())


def retry_failed(output: str, *, codes: Sequence[str] = (), force: bool, progress: ProgressView) -> RetryOutcome:
    """Run the failed rows of a job anew, with the settings of its last attempt.

    Args:
        output: Output folder of the job.
        codes: Only rows that failed with one of these; none means any.
        force: Also rows whose failure follows from their own bytes.
        progress: Told how many of the rows are done.

    Raises:
        ConfigError: There is no job, no such code, or only permanent codes are wanted without `force`.
        FingerprintMismatch: Inputs or the model are not what the job was planned with.
    """
    chosen = chosen_codes(codes, force=force)
    ledger, attempt = open_job(output), new_attempt()
    spec = spec_of(ledger)
    stop = JobStop(ledger.storage, attempt, drain_s=spec.failures.drain_s)
    try:
        with stop.listening():  # from the start: planning takes its time too
            return _retried(chosen, spec, ledger, attempt, stop, progress)
    except StopNow:
        assert stop.cause is not None
        return RetryOutcome(job=stopped(stop.cause, ledger), rows_wanted=0, rows_by_status={})


def _retried(
    chosen: frozenset[str], spec: JobSpec, ledger: Ledger, attempt: str, stop: JobStop, progress: ProgressView
) -> RetryOutcome:
    job = prepare(with_planned_inputs(spec, ledger.plan()))
    plan = ledger.adopt_plan(job.plan)
    wanted = failed_rows(ledger, chosen)
    rows_wanted = sum(len(part.attempts) for part in wanted)
    if not wanted:
        return RetryOutcome(job=_judged(job, plan, ledger), rows_wanted=0, rows_by_status={})
    with driving(ledger, job.spec, attempt, stop):
        record = RunRecord(ledger, spec, attempt, retries=rows_wanted)
        rewriter = PartRewriter(ledger, wanted, attempt=attempt, fingerprint=plan.fingerprint)
        outcome = _attempted(job, plan, ledger, record, stop, rewriter, progress)
    rows_by_status = {status.value: count for status, count in rewriter.done.items()}
    return RetryOutcome(job=outcome, rows_wanted=rows_wanted, rows_by_status=rows_by_status)


def _attempted(
    job: PreparedJob,
    plan: Plan,
    ledger: Ledger,
    record: RunRecord,
    stop: JobStop,
    rewriter: PartRewriter,
    progress: ProgressView,
) -> JobOutcome:
    """Run the wanted rows, and record how that ended."""
    rows_wanted = rewriter.wanted

    def look() -> None:
        stop.look()
        done = rewriter.done
        progress.update(
            rows_done=sum(done.values()),
            rows_total=rows_wanted,
            estimated=False,
            failed=done[RowStatus.FAILED],
            shards_done=0,
            shards_total=len(plan.shards),
        )

    try:
        with stop.listening(), regularly(look):
            _run(job, plan, ledger, record, stop, rewriter)
    except StopNow:
        pass
    except BaseException as error:
        _end_badly(error, plan, ledger, record, rewriter)
        raise
    rewriter.finish()
    look()
    outcome = patiently(lambda: stopped(stop.cause, ledger) if stop.cause else _judged(job, plan, ledger))
    patiently(lambda: record.end(outcome.exit_code, rows=sum(rewriter.done.values())))
    patiently(lambda: _vouch(plan, ledger))
    return outcome


def _end_badly(error: BaseException, plan: Plan, ledger: Ledger, record: RunRecord, rewriter: PartRewriter) -> None:
    """Keep what was answered, and have the manifest of a whole job name it, as far as `error` leaves that possible."""
    try:
        rewriter.finish()
    except PipelineError as more:
        logger.warning("rows that were answered could not be put in place: %s", more)
    record.end_badly(error)
    try:
        _vouch(plan, ledger)
    except PipelineError as more:
        logger.warning("the manifest could not be written anew, as 'mue repair --apply' can: %s", more)


def _vouch(plan: Plan, ledger: Ledger) -> None:
    """Write the manifest if every row is there; a job that was never finished is left for 'mue run'."""
    if not ledger.progress().unfinished(plan):
        ledger.finalize(plan)


def chosen_codes(codes: Sequence[str], *, force: bool) -> frozenset[str]:
    """Return the codes of the rows to run, or raise `ConfigError` for an unknown one or if none is left."""
    known = [code.value for code in ErrorCode]
    for code in codes:
        if code not in known:
            raise ConfigError(f"--code '{code}': {unknown_key(code, known, kind='code')}")
    found = frozenset(codes or known)
    allowed = frozenset(code for code in found if force or not ErrorCode(code).permanent)
    if not allowed:
        names = ", ".join(sorted(found))
        raise ConfigError(f"--code {names}: such rows fail at every attempt; add --force to run them all the same")
    return allowed


def spec_of(ledger: Ledger) -> JobSpec:
    """Return the settings of the job's last attempt, writing into the folder where it is now."""
    attempts = run_facts(ledger).get("attempts") or []
    if not attempts or "spec" not in attempts[-1]:
        raise ConfigError(f"{ledger.storage.url}: no attempt has recorded its settings; finish it with 'mue run' first")
    spec = parse_config(JobSpec, attempts[-1]["spec"], where=f"{ledger.storage.url}/{RUN}")
    return spec.model_copy(update={"output": spec.output.model_copy(update={"url": ledger.storage.url})})


def with_planned_inputs(spec: JobSpec, plan: Plan) -> JobSpec:
    """Return `spec` with the shards of the plan by their full names, wherever it was typed and whatever came since."""
    urls = tuple(dict.fromkeys(shard.url for shard in plan.shards))
    return spec.model_copy(update={"inputs": spec.inputs.model_copy(update={"urls": urls})})


def _judged(job: PreparedJob, plan: Plan, ledger: Ledger) -> JobOutcome:
    return judged(job.spec.failures, plan, ledger, shards_opened=0)


def _run(
    job: PreparedJob, plan: Plan, ledger: Ledger, record: RunRecord, stop: JobStop, rewriter: PartRewriter
) -> None:
    """Read the shards of the wanted rows and give their answers to `rewriter`."""
    # Ray is imported only when there is something to run.
    from jobs.ray_session import ray_session
    from jobs.rounds import Rounds
    from jobs.segment_run import SegmentRun
    from pipeline.build import stream_segment

    machine = this_machine()
    layout = local_layout(machine.cores, memory_gib=machine.memory_gib)
    rounds = Rounds(
        ledger,
        rewriter.is_open,
        max_poison_rows=job.spec.failures.max_poison_rows,
        watched=record.previous_was_killed,
    )
    work = partial(stream_segment, take=rewriter.take)
    with ray_session(num_cpus=layout.ray_num_cpus) as cpus, stop.listening():
        segment_run = SegmentRun(
            job,
            plan,
            ledger,
            record.attempt,
            stop,
            node_cpus=cpus,
            work=work,
            audit=lambda _: shadows_alone(plan),
        )
        rounds.run(lambda: reads_of(plan, rewriter.open_rows()), segment_run)
