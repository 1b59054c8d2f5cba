"""A few rows of a planned job, read, decoded and answered in this process as the job would, and what that took.

The very stages of a job run here, one after another and without Ray: rows come out as they would be committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.local import torch_threads
from jobs.machine import this_machine
from jobs.planning import PreparedJob
from pipeline.plan import Plan, PlannedShard
from pipeline.preprocess import DecodeRows
from pipeline.records import RowStatus
from pipeline.shard_rows import iter_tables

SHARDS = 4
"""Shards that the sample is taken from, spread over the plan."""
MEASURE_S = 4.0
"""About how long the model is measured."""
MEASURE_IMAGES = 512
"""Most images that it is measured on."""
_FIRST_IMAGES = 32
_TAR_OVERHEAD_BYTES = 1536
"""Headers and padding of a row's members, about: what a row takes in a tar beside its content."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What became of the rows, and what each took."""

    rows: list[dict[str, Any]]
    """As they would be committed."""
    rows_per_image: float
    """More than 1 where an image has several queries."""
    read_ms: float | None
    """Mean of an image; None where there is none. So are the next two."""
    decode_ms: float | None
    bytes_per_image: float | None
    """As images lie in a tar with what belongs to them, about."""
    rows_per_s: float | None
    """Answers of the model, its groups full; None where no row could be answered."""
    measured_rows: int
    load_s: float
    """Time to load the model."""
    device: str
    """`cpu` or `cuda`."""
    threads: int
    """Of torch, on a CPU."""


def take_sample(job: PreparedJob, images: int) -> Sample:
    """Read, decode and answer `images` images spread over the plan, then measure the model on copies of them.

    A copy has an image of its own as far as the engine knows, so that nothing is shared that a job would not share.
    """
    from mue_model.loading import pick_device
    from pipeline.actor import ModelActor

    spec = job.spec
    decode = DecodeRows.of_job(spec, job.facts, job.generation)
    raw = list(_raw_tables(job, images))
    decoded = [decode(table) for table in raw]
    threads = spec.engine.threads or torch_threads(this_machine().cores, 1)
    began = time.perf_counter()
    actor = ModelActor(
        job.facts.name,
        job.facts.digest,
        job.exits,
        job.generation,
        spec.engine.model_copy(update={"threads": threads}),
        "plan",
    )
    load_s = time.perf_counter() - began
    committed = [row for table in decoded for row in actor.answer(table).to_pylist() if row["uid"] is not None]
    rows_per_s, measured = _measured(actor.answer, decoded)
    images = sum(table.num_rows for table in decoded)
    return Sample(
        rows=committed,
        rows_per_image=len(committed) / images if images else 1.0,
        read_ms=_mean(raw, "read_ms"),
        decode_ms=_mean(decoded, "decode_ms"),
        bytes_per_image=_bytes_per_image(raw),
        rows_per_s=rows_per_s,
        measured_rows=measured,
        load_s=load_s,
        device=pick_device(spec.engine.device).type,
        threads=threads,
    )


def spread(plan: Plan, rows: int) -> list[tuple[PlannedShard, int]]:
    """Return which shards a sample is taken from, and how many rows of each: the first ones."""
    shards = [shard for shard in plan.shards if shard.rows != 0]
    count = min(SHARDS, rows, len(shards))
    chosen = [shards[index * len(shards) // count] for index in range(count)]
    return [(shard, rows // count + (index < rows % count)) for index, shard in enumerate(chosen)]


def _raw_tables(job: PreparedJob, rows: int) -> Iterator[pa.Table]:
    inputs = job.spec.inputs
    for shard, wanted in spread(job.plan, rows):
        tables = iter_tables(
            shard.url,
            shard.shard_id,
            suffixes=inputs.fields.image_suffixes,
            max_member_bytes=inputs.max_member_mib << 20,
            column=inputs.fields.image_column,
            files=shard.files,
            rows_per_table=wanted,
            expected_size=shard.size if shard.files is None else None,
        )
        left = wanted
        for table in tables:
            rows_only = table.filter(pc.is_valid(table["uid"])).slice(0, left)
            if rows_only.num_rows:
                yield rows_only
            left -= rows_only.num_rows
            if left <= 0:
                break


def _measured(answer: Callable[[pa.Table], pa.Table], decoded: Sequence[pa.Table]) -> tuple[float | None, int]:
    """Rows per second of the model over about `MEASURE_S`, at most `MEASURE_IMAGES`; and how many rows that were."""
    good = [table.filter(pc.equal(table["status"], RowStatus.OK)) for table in decoded]
    rows = pa.concat_tables(good) if good else None
    if rows is None or not rows.num_rows:
        return None, 0
    # What is compiled or allocated once is in the first call and not measured.
    answer(_copies(rows, _FIRST_IMAGES, "first"))
    began = time.perf_counter()
    answer(_copies(rows, _FIRST_IMAGES, "second"))
    about = _FIRST_IMAGES / (time.perf_counter() - began)
    copies = _copies(rows, min(MEASURE_IMAGES, max(_FIRST_IMAGES, round(about * MEASURE_S))), "third")
    began = time.perf_counter()
    answered = answer(copies).num_rows
    return answered / (time.perf_counter() - began), answered


def _copies(rows: pa.Table, count: int, name: str) -> pa.Table:
    """`count` rows, each image under a name of its own, so that the engine shares none."""
    copies = pa.concat_tables([rows] * -(-count // rows.num_rows)).slice(0, count).combine_chunks()
    names = pa.array([f"{name}-{index}" for index in range(count)], pa.string())
    place = copies.schema.get_field_index("image_sha256")
    return copies.set_column(place, copies.schema.field(place), names)


def _mean(tables: Sequence[pa.Table], column: str) -> float | None:
    values = [value for table in tables for value in table[column].to_pylist() if value is not None]
    return sum(values) / len(values) if values else None


def _bytes_per_image(tables: Sequence[pa.Table]) -> float | None:
    sizes = [
        len(image.as_buffer()) + len(meta.as_py() or "") + _TAR_OVERHEAD_BYTES
        for table in tables
        for image, meta in zip(table["image"], table["meta_json"], strict=True)
        if image.is_valid
    ]
    return sum(sizes) / len(sizes) if sizes else None
