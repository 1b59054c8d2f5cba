"""The chain, from shards to receipts: read -> decode -> model -> commit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model_folder import ModelFacts
from pipeline.actor_audit import ActorAudit
from pipeline.blocks import TARGET_BLOCK_BYTES
from pipeline.guard import Guard
from pipeline.guarded import GuardedDecode, GuardedModelActor
from pipeline.preprocess import DecodeRows
from pipeline.segment_failure import segment_failed
from pipeline.shard_read import ShardRead
from pipeline.sinks import LedgerSink
from pipeline.sources import ShardSource
from pipeline.spec import ActorsConfig, JobSpec

READ_CPUS = 0.25
DECODE_CPUS = 0.5
WRITE_CPUS = 0.0
"""Scheduling tokens. Each differs from its neighbour's, or Ray fuses the stages on one kind of machine only. A write
has none: of two Datasets on a cluster Ray Data may allot the second less than it needs, first to its reads and last to
its writes, and what is answered would stay in memory for as long as the first one runs."""

WRITES_PER_ACTOR = 4
"""Writes at a time, at most: nothing else bounds what asks for no CPU, and each is a process."""
WAITING_CALLS = 2
"""Calls that lie ready at an actor beside those that run: enough to hide the way there, few for they hold pixels."""
SHADOW_CALLS = 1.5
"""Times as many calls in an actor at a time where rows are shadowed."""
TASK_RETRIES = 10
"""How often Ray runs a read, decode or write anew; unless told, it would do so for ever. A process that dies is one
reason, an output that was lost with its node another: who has used all up takes everything downstream with him."""
UNBOUNDED = -1
"""Restarts of an actor: with a bound, one that died between two calls once too often would stay in the pool, dead. What
it would bound, `max_task_retries` and `pipeline.starts` do."""
STUCK_ROUNDS = 5
"""Ray gives up once nothing has moved for so many times `failures.stuck_s`: until then a stuck process is ended and its
rows are isolated, step by step."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What one Dataset works on: some shards of a job, in one attempt."""

    number: int
    attempt: str
    reads: Sequence[ShardRead]
    fingerprint: str
    guard: Guard
    audit: ActorAudit | None = None
    """None: no shadow rows and no timing windows."""


def run_segment(
    spec: JobSpec, segment: Segment, facts: ModelFacts, exits: ExitConfig, generation: GenerationConfig
) -> None:
    """Read, answer and commit the segment's rows; returns when every one of them is committed.

    Raises:
        SegmentFailed: An actor could not start or died too often, or a task failed.
    """
    sink = LedgerSink(
        spec.output.url,
        fingerprint=segment.fingerprint,
        attempt=segment.attempt,
        segment=segment.number,
        rows_per_part=spec.output.rows_per_part,
    )
    try:
        rows = build(spec, segment, facts, exits, generation)
        with _fewer_parts_than_writes():
            rows.write_datasink(sink, **_writes(spec.actors))
    except (RayError, ExecutionTimeoutError) as error:
        raise segment_failed(error) from error


def stream_segment(
    spec: JobSpec,
    segment: Segment,
    facts: ModelFacts,
    exits: ExitConfig,
    generation: GenerationConfig,
    *,
    take: Callable[[pa.Table], None],
) -> None:
    """Read and answer the segment's rows, and give this process their `COMMIT_SCHEMA` tables; nothing is committed.

    Raises:
        SegmentFailed: As `run_segment` does.
    """
    try:
        for table in build(spec, segment, facts, exits, generation).iter_batches(
            batch_size=None, batch_format="pyarrow"
        ):
            take(table)
    except (RayError, ExecutionTimeoutError) as error:
        raise segment_failed(error) from error


def build(
    spec: JobSpec, segment: Segment, facts: ModelFacts, exits: ExitConfig, generation: GenerationConfig
) -> Dataset:
    """Return the segment's rows as a lazy Dataset of `COMMIT_SCHEMA` tables."""
    _set_context(spec.failures.stuck_s)
    decode = DecodeRows.of_job(spec, facts, generation)
    rows = _read(ShardSource(segment.reads, spec.inputs, segment.guard.stop_watch()), tasks=len(segment.reads))
    decoded = _in_tasks(rows, GuardedDecode(decode, segment.guard), spec.actors.rows_per_call)
    arguments = (
        segment.guard,
        facts.name,
        facts.digest,
        exits,
        generation,
        spec.engine,
        segment.attempt,
        segment.audit,
    )
    return _on_actors(decoded, _with_shadows(spec.actors, segment.audit), arguments)


def _read(source: ShardSource, tasks: int) -> Dataset:
    with _unnamed_settings():
        return ray.data.read_datasource(
            source, override_num_blocks=tasks, ray_remote_args={"num_cpus": READ_CPUS, "max_retries": TASK_RETRIES}
        )


def _in_tasks(rows: Dataset, decode: GuardedDecode, rows_per_call: int) -> Dataset:
    """Decode. What comes out lies in blocks of one call each: an actor has many calls in hand, not one long one.

    A task cuts its own blocks, by rows alone, so that run anew it gives the same ones.
    """
    remote: dict[str, Any] = {"num_cpus": DECODE_CPUS, "max_retries": TASK_RETRIES}
    with _unnamed_settings():
        decoded = rows.map_batches(
            decode, batch_format="pyarrow", batch_size=rows_per_call, compute=TaskPoolStrategy(), **remote
        )
    cut = decoded.repartition(target_num_rows_per_block=rows_per_call)
    # Ray makes one task of both where they ask for the same, which `repartition` has no parameter for. Else every
    # pixel is copied once more, by tasks of a whole CPU each that are run anew for ever.
    cut._logical_plan.dag.ray_remote_args.update(remote)
    return cut


def _with_shadows(actors: ActorsConfig, audit: ActorAudit | None) -> ActorsConfig:
    """A call ends with its last shadow, a row run twice: more calls are to keep the groups full meanwhile."""
    if audit is None or not audit.shadows.any:
        return actors
    return actors.model_copy(update={"concurrent_calls": math.ceil(SHADOW_CALLS * actors.concurrent_calls)})


def actor_gpus(actors: ActorsConfig) -> float:
    """Return the Ray GPUs of one actor; where the settings do not say, by what the cluster has now."""
    if actors.num_gpus is not None:
        return actors.num_gpus
    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0


def _on_actors(rows: Dataset, actors: ActorsConfig, constructor_args: tuple[object, ...]) -> Dataset:
    """Send `rows` through a pool of model actors."""
    with _unnamed_settings():
        return rows.map_batches(
            GuardedModelActor,
            fn_constructor_args=constructor_args,
            batch_format="pyarrow",
            batch_size=actors.rows_per_call,
            compute=_pool(actors),
            num_cpus=actors.num_cpus,
            num_gpus=actor_gpus(actors),
            max_restarts=UNBOUNDED,
            max_task_retries=actors.max_restarts,
        )


@contextmanager
def _unnamed_settings() -> Iterator[None]:
    """Let calls pass what has no named parameter: bounds of retries and restarts.

    They go through `ray_remote_args`, which Ray 2.64 removes: the version range in pyproject.toml ends there, and the
    calls in this block are those to change.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        yield


def _writes(actors: ActorsConfig) -> dict[str, Any]:
    return {
        "ray_remote_args": {"num_cpus": WRITE_CPUS, "max_retries": TASK_RETRIES},
        "concurrency": WRITES_PER_ACTOR * (actors.max or actors.min),
    }


@contextmanager
def _fewer_parts_than_writes() -> Iterator[None]:
    """Let a small job have them: Ray warns that more writes were allowed at a time, which is nobody's concern."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The maximum number of concurrent tasks for 'Write'")
        yield


def _pool(actors: ActorsConfig) -> ActorPoolStrategy:
    return ActorPoolStrategy(
        min_size=actors.min,
        max_size=actors.max or actors.min,
        initial_size=actors.min,
        max_tasks_in_flight_per_actor=actors.concurrent_calls + WAITING_CALLS,
        max_concurrent_calls_per_actor=actors.concurrent_calls,
        enable_true_multi_threading=True,
    )


def _set_context(stuck_s: float) -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = TARGET_BLOCK_BYTES
    context.memory_usage_poll_interval_s = None  # else every call in flight reads the memory of its process each second
    context.max_errored_blocks = 0
    context.execution_no_progress_timeout_s = STUCK_ROUNDS * stuck_s
