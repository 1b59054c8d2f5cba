"""`mue audit run`: rows of a finished job run at full depth, and timing windows measured; the job's rows stay.

All or nothing: `audit/` gets its files when everything is done, and a killed audit leaves none. One that is stopped,
refused or fails takes back what its processes wrote to `metrics/`.
"""

from __future__ import annotations

import datetime
import io
import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.local import local_layout
from jobs.audit_record import AuditRecord, parts_digest
from jobs.audit_rule import AuditRule, audit_rule
from jobs.audit_traces import delete_traces
from jobs.audited_rows import AuditedRows
from jobs.job_folder import open_job
from jobs.machine import this_machine
from jobs.metrics_lines import process_lines
from jobs.pending import reads_of
from jobs.planning import PreparedJob, prepare
from jobs.progress import ProgressView
from jobs.regularly import regularly
from jobs.retry import spec_of, with_planned_inputs
from jobs.run_record import new_attempt, package_versions
from jobs.shadow_sample import shadow_sample
from jobs.stopping import JobStop, StopNow, driving
from jobs.timing_windows import windows_of
from jobs.window_ranges import window_ranges
from mue_model.config import ConfigError
from pipeline.actor_audit import ActorAudit
from pipeline.exit_codes import ExitCode
from pipeline.intents import Suspects
from pipeline.intervals import Ranges, length
from pipeline.ledger import Ledger
from pipeline.manifest import file_digest
from pipeline.patience import patiently
from pipeline.plan import Plan
from pipeline.shadow_strata import STRATA


@dataclass(frozen=True, kw_only=True)
class AuditOutcome:
    """How an audit ended."""

    exit_code: ExitCode
    reason: str = ""
    record: AuditRecord | None = None
    """None where it was stopped."""


@dataclass(frozen=True, kw_only=True)
class _Audit:
    """One audit on its way."""

    job: PreparedJob
    plan: Plan
    ledger: Ledger
    attempt: str
    stop: JobStop
    rule: AuditRule
    rows: AuditedRows
    windows: int
    began: str
    clock: float


def audit_job(
    output: str,
    *,
    rate: float | None = None,
    seed: int | None = None,
    margin: float | None = None,
    windows: int = 0,
    progress: ProgressView,
) -> AuditOutcome:
    """Audit the finished job in the folder `output`.

    Args:
        output: Output folder of the job.
        rate: Share of rows to run again, where the plan does not fix it.
        seed: Of the hash that chooses them, where the plan does not fix it.
        margin: Share of rows that may differ, where the plan does not declare it.
        windows: Timing windows.
        progress: Told how many of the rows are done.

    Raises:
        ConfigError: There is no finished job, or the plan fixes what is asked for otherwise.
        FingerprintMismatch: Inputs or the model are not what the job was planned with.
        InputsChanged: An image is not the one that the job answered.
    """
    ledger = open_job(output)
    plan = ledger.plan()
    if not ledger.finalized(plan):
        raise ConfigError(
            f"{output}: the job is not finished, and only whole ones are audited: 'mue run' goes on with it"
        )
    spec, attempt = spec_of(ledger), new_attempt()
    stop = JobStop(ledger.storage, attempt, drain_s=spec.failures.drain_s)

    def planned() -> _Audit:
        job = prepare(with_planned_inputs(spec, plan))
        ledger.adopt_plan(job.plan)
        rule = audit_rule(plan, rows=_ok_rows(ledger), rate=rate, seed=seed, margin=margin)
        return _Audit(
            job=job,
            plan=plan,
            ledger=ledger,
            attempt=attempt,
            stop=stop,
            rule=rule,
            rows=AuditedRows(shadow_sample(ledger, rule.selection, {}).rows),
            windows=windows,
            began=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            clock=time.monotonic(),
        )

    try:
        with stop.listening():  # from the start: planning takes its time too
            return _led(planned(), progress)
    except StopNow:
        return _left_nothing(stop)


def _led(audit: _Audit, progress: ProgressView) -> AuditOutcome:
    """Audit as the one driver of the folder."""
    ledger = audit.ledger
    with driving(ledger, audit.job.spec, audit.attempt, audit.stop):
        try:
            record = _attempted(audit, progress)
        except BaseException:
            delete_traces(ledger.storage, audit.attempt)
            raise
        if record is None:
            delete_traces(ledger.storage, audit.attempt)
            return _left_nothing(audit.stop)
        # The manifest vouches for what audits leave.
        try:
            patiently(lambda: ledger.finalize(audit.plan))
        except StopNow:
            # Every signal is ignored by now, and what is done in a moment needs not be done anew.
            patiently(lambda: ledger.finalize(audit.plan))
        return AuditOutcome(exit_code=ExitCode.OK, record=record)


def _left_nothing(stop: JobStop) -> AuditOutcome:
    assert stop.cause is not None
    reason = f"{stop.cause.reason}: the audit has left nothing; the same command begins anew"
    return AuditOutcome(exit_code=stop.cause.exit_code, reason=reason)


def _attempted(audit: _Audit, progress: ProgressView) -> AuditRecord | None:
    """Run the audit and write what it found; None where it was stopped."""
    stop, rows = audit.stop, audit.rows

    def look() -> None:
        stop.look()
        progress.update(
            rows_done=rows.done,
            rows_total=rows.wanted,
            estimated=False,
            failed=0,
            shards_done=0,
            shards_total=len(audit.plan.shards),
        )

    try:
        with stop.listening(), regularly(look):
            _run(audit)
    except StopNow:
        pass
    if stop.cause is not None:
        return None
    look()
    return _written(audit)


def _ok_rows(ledger: Ledger) -> int:
    return sum(pc.sum(pc.equal(table["status"], "ok")).as_py() or 0 for table in ledger.read_live(["status"]))


def _run(audit: _Audit) -> None:
    """Run the selected rows, each with a shadow; then the windows, in one process, so that there are so many."""
    from jobs.ray_session import ray_session
    from jobs.rounds import Rounds
    from jobs.segment_run import SegmentRun
    from pipeline.build import stream_segment

    machine = this_machine()
    layout = local_layout(machine.cores, memory_gib=machine.memory_gib)
    run = partial(SegmentRun, plan=audit.plan, ledger=audit.ledger, attempt=audit.attempt, stop=audit.stop)
    every_row = replace(audit.rule.selection, rates=dict.fromkeys(STRATA, 1.0))
    with ray_session(num_cpus=layout.ray_num_cpus) as cpus, audit.stop.listening():
        rows, poison = audit.rows, audit.job.spec.failures.max_poison_rows
        shadows = run(
            audit.job,
            node_cpus=cpus,
            work=partial(stream_segment, take=rows.take),
            audit=lambda _: ActorAudit(shadows=every_row, purpose="audit"),
        )
        rounds = Rounds(audit.ledger, rows.is_open, max_poison_rows=poison, watched=False)
        rounds.run(lambda: reads_of(audit.plan, rows.open_rows()), shadows)
        ranges = _window_ranges(audit)
        if ranges and not audit.stop.cause:
            images = sum(length(own) for own in ranges.values())
            no_row = replace(audit.rule.selection, rates={})
            expected = round(images * audit.ledger.progress().rows_per_image)
            timed = run(
                _on_one_actor(audit.job),
                node_cpus=cpus,
                work=partial(stream_segment, take=_leave),
                audit=lambda _: ActorAudit(
                    shadows=no_row, windows=audit.windows, rows_expected=expected, purpose="audit"
                ),
            )
            timed(reads_of(audit.plan, ranges), False, Suspects())


def _leave(table: pa.Table) -> None:
    """Rows of windows are answered to be timed, not to be kept."""


def _window_ranges(audit: _Audit) -> dict[str, Ranges]:
    progress = audit.ledger.progress()
    totals = {shard.shard_id: progress.of(shard.shard_id).total or 0 for shard in audit.plan.shards}
    return window_ranges(totals, audit.windows)


def _on_one_actor(job: PreparedJob) -> PreparedJob:
    actors = job.spec.actors.model_copy(update={"min": 1, "max": 1})
    return replace(job, spec=job.spec.model_copy(update={"actors": actors}))


def _written(audit: _Audit) -> AuditRecord:
    """Write the rows found, then the record that names them."""
    table, storage, rule = audit.rows.table(), audit.ledger.storage, audit.rule
    data = io.BytesIO()
    pq.write_table(table, data, compression="zstd")
    content = data.getvalue() if audit.rows.wanted else None
    record = AuditRecord(
        attempt=audit.attempt,
        began=audit.began,
        wall_s=round(time.monotonic() - audit.clock, 3),
        fingerprint=audit.plan.fingerprint,
        parts_digest=parts_digest(audit.ledger),
        seed=rule.selection.seed,
        rates=dict(rule.selection.rates),
        rule_from=rule.rule_from,
        margin=rule.margin,
        margin_from=rule.margin_from,
        rows_selected=audit.rows.wanted,
        rows_shadowed=len(table),
        rows_reproduced=pc.sum(table["reproduced"]).as_py() or 0,
        packages=package_versions(),
        cores=this_machine().cores,
        shadows=None if content is None else file_digest(content),
        windows=tuple(
            asdict(window) for window in windows_of(process_lines(storage, purpose="audit", attempt=audit.attempt))
        ),
    )
    if content is not None:
        storage.write(record.shadows_path, content)
    storage.write(record.path, record.to_json())
    return record
