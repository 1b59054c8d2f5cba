"""`mue plan`: refuses what `mue run` would refuse, answers a few rows, estimates the rest, writes only the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from jobs.machine import this_machine
from jobs.planning import PreparedJob, prepare
from jobs.row_estimate import RowEstimate, estimate_rows
from jobs.run import pools_of
from jobs.sample import Sample, take_sample
from jobs.time_estimate import Speeds, TimeEstimate, estimate_time
from pipeline.ledger import PLAN, Ledger
from pipeline.parquet_file import is_parquet
from pipeline.spec import JobSpec
from pipeline.storage import Storage


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What is known about a job before it runs."""

    job: PreparedJob
    is_new: bool
    """The folder had no plan yet; else the one that is there has the same fingerprint and stays."""
    kinds: dict[str, int]
    """Shards by kind: `tar`, `parquet`, `folder` (runs of folders)."""
    rows: RowEstimate
    sample: Sample
    time: TimeEstimate
    unknown: tuple[str, ...]
    """What the estimate could not know, in words."""


def dry_run(
    spec: JobSpec,
    *,
    rows: int,
    price_per_hour: float | None = None,
    on_counted: Callable[[int, int], None] = lambda done, total: None,
) -> DryRun:
    """Plan the job `spec`, answer `rows` of its rows, and write `plan.json`, which `mue run` adopts.

    Raises:
        PlanError, ModelFolderError, ConfigError: As `prepare`.
        FingerprintMismatch: The output folder holds another job's plan.
    """
    job = prepare(spec, count_all=True, on_counted=on_counted)
    if not job.facts.untrained:
        from mue_model.loading import check_weights

        check_weights(job.facts)
    ledger = Ledger(Storage.open(spec.output.url))
    had_plan = ledger.storage.exists(PLAN)
    if had_plan:
        # Refused now rather than after the sample.
        ledger.adopt_plan(job.plan)
    sample = take_sample(job, rows)
    found = estimate_rows(job.plan, sample.bytes_per_image, sample.rows_per_image)
    speeds = Speeds(
        read_ms=_of_a_row(sample.read_ms, sample),
        decode_ms=_of_a_row(sample.decode_ms, sample),
        rows_per_s=sample.rows_per_s,
        load_s=sample.load_s,
    )
    time = estimate_time(
        found.rows,
        speeds,
        actors=spec.actors.max or spec.actors.min,
        cores=this_machine().cores,
        on_gpu=sample.device != "cpu",
        price_per_hour=price_per_hour,
        pools=pools_of(len(job.plan.shards)),
    )
    ledger.adopt_plan(job.plan)
    kinds = Counter(
        "folder" if shard.files is not None else "parquet" if is_parquet(shard.url) else "tar"
        for shard in job.plan.shards
    )
    unknown = tuple(_unknown(found, sample, price_per_hour))
    return DryRun(
        job=job, is_new=not had_plan, kinds=dict(kinds), rows=found, sample=sample, time=time, unknown=unknown
    )


def _of_a_row(image_ms: float | None, sample: Sample) -> float | None:
    return image_ms / sample.rows_per_image if image_ms is not None and sample.rows_per_image else None


def _unknown(rows: RowEstimate, sample: Sample, price_per_hour: float | None) -> list[str]:
    found = []
    if rows.estimated_shards:
        found.append(
            f"rows of {rows.estimated_shards:,} shards, which only reading them tells: estimated from their sizes"
        )
    if rows.rows_per_image != 1:
        found.append(f"how many queries the other images have: the sampled ones have {rows.rows_per_image:.1f} each")
    if rows.by_source.get("side-car"):
        found.append("whether side-cars are right: the job itself counts by reading")
    if not sample.rows:
        found.append("how rows look: none could be read")
    elif sample.rows_per_s is None:
        found.append("time: none of the sampled rows could be answered")
    else:
        found.append("whether the other rows leave as early as the sampled ones, and are as quick to read and decode")
        found.append("other machines: speeds are those of this one, alone, with nothing else running on it")
    if price_per_hour is None:
        found.append("cost: give --price-per-hour, the price of one hour of all that the job runs on")
    return found
