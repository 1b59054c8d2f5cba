"""The chain, from shards to receipts: read -> decode -> model -> commit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy
from ray.exceptions import RayError

from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model_folder import ModelFacts
from pipeline.actor import ModelActor
from pipeline.blocks import TARGET_BLOCK_BYTES
from pipeline.errors import PipelineError
from pipeline.preprocess import DecodeRows
from pipeline.shard_read import ShardRead
from pipeline.sinks import LedgerSink
from pipeline.sources import ShardSource
from pipeline.spec import ActorsConfig, JobSpec

READ_CPUS = 0.25
DECODE_CPUS = 0.5
WRITE_CPUS = 0.25
"""Scheduling tokens. Each differs from its neighbour's, or Ray fuses the stages on one kind of machine only."""

WAITING_CALLS = 4
"""Calls that lie ready at an actor beside those that run: enough to hide the way there, few for they hold pixels."""
NO_PROGRESS_TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What one Dataset works on: some shards of a job, in one attempt."""

    number: int
    attempt: str
    reads: Sequence[ShardRead]
    fingerprint: str


class SegmentFailed(PipelineError):
    """Ray gave up on a segment. The message has the cause; what was committed before stays committed."""


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
        rows.write_datasink(sink, ray_remote_args={"num_cpus": WRITE_CPUS})
    except RayError as error:
        advice = "what was committed is kept, and the same command goes on from there; -v shows where it happened"
        raise SegmentFailed(f"the job stopped: {_cause(error)}; {advice}") from error


def _cause(error: RayError) -> str:
    """The innermost reason: Ray appends the remote traceback, whose last line names it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def build(
    spec: JobSpec, segment: Segment, facts: ModelFacts, exits: ExitConfig, generation: GenerationConfig
) -> Dataset:
    """Return the segment's rows as a lazy Dataset of `COMMIT_SCHEMA` tables."""
    _set_context()
    decode = DecodeRows.of_job(spec, facts, generation)
    rows = ray.data.read_datasource(
        ShardSource(segment.reads, spec.inputs), override_num_blocks=len(segment.reads), num_cpus=READ_CPUS
    )
    decoded = rows.map_batches(
        decode,
        batch_format="pyarrow",
        batch_size=spec.actors.rows_per_call,
        compute=TaskPoolStrategy(),
        num_cpus=DECODE_CPUS,
    )
    arguments = (facts.name, facts.digest, exits, generation, spec.engine, segment.attempt)
    return _on_actors(decoded, spec.actors, arguments)


def _on_actors(rows: Dataset, actors: ActorsConfig, constructor_args: tuple[object, ...]) -> Dataset:
    """Send `rows` through a pool of `ModelActor`s.

    Bounded restarts have no named parameter and go through `ray_remote_args`, which Ray 2.64 removes: the
    version range in pyproject.toml ends there, and this is the only call to change.
    """
    gpus = actors.num_gpus
    if gpus is None:
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        return rows.map_batches(
            ModelActor,
            fn_constructor_args=constructor_args,
            batch_format="pyarrow",
            batch_size=actors.rows_per_call,
            compute=_pool(actors),
            num_cpus=actors.num_cpus,
            num_gpus=gpus,
            max_restarts=actors.max_restarts,
            max_task_retries=actors.max_restarts,
        )


def _pool(actors: ActorsConfig) -> ActorPoolStrategy:
    return ActorPoolStrategy(
        min_size=actors.min,
        max_size=actors.max or actors.min,
        initial_size=actors.min,
        max_tasks_in_flight_per_actor=actors.concurrent_calls + WAITING_CALLS,
        max_concurrent_calls_per_actor=actors.concurrent_calls,
        enable_true_multi_threading=True,
    )


def _set_context() -> None:
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = TARGET_BLOCK_BYTES
    context.memory_usage_poll_interval_s = None  # else every call in flight reads the memory of its process each second
    context.max_errored_blocks = 0
    context.execution_no_progress_timeout_s = NO_PROGRESS_TIMEOUT_S
