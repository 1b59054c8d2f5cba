"""`mue plan --nodes`: what a dry run's measurements say about a cluster, and what they cannot say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cluster.projection import ClusterShape, Projection, StageTimes, project
from jobs.dry_run import DryRun
from jobs.machine import this_machine
from jobs.progress import duration
from mue_model.config import ConfigError
from pipeline.spec import ActorsConfig

CPUS_PER_GPU_ACTOR = 1.0
"""CPUs that the one engine thread of an actor on a GPU keeps busy; assumed."""
TRIED_CALLS_PER_S = 30.0
"""Ray calls a second that one driver was seen to schedule in this project's measurements (benchmarks/RESULTS.md)."""


@dataclass(frozen=True, kw_only=True)
class ClusterQuestion:
    """What a user asks about."""

    nodes: int
    gpus: int = 0
    """Of one node."""
    cpus: int | None = None
    """Of one node; None: as many as this machine has."""
    rows: int | None = None
    """None: those of the inputs."""
    rows_per_s_per_actor: float | None = None
    """As measured on such a device; None: as sampled here."""
    price_per_node_hour: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """What the job would take there."""

    shape: ClusterShape
    times: StageTimes
    projection: Projection
    not_known: tuple[str, ...]


def plan_for_cluster(found: DryRun, question: ClusterQuestion) -> ClusterPlan:
    """Return what the job of a dry run would take on a cluster.

    Raises:
        ConfigError: The sample could not be measured, or the question makes no sense.
    """
    times = _times(found, question)
    actors = found.job.spec.actors
    cpus = question.cpus or this_machine().cores
    on_gpu = question.gpus > 0
    try:
        shape = ClusterShape(
            nodes=question.nodes,
            cpus_per_node=cpus,
            gpus_per_node=question.gpus,
            actors_per_node=_actors_per_node(actors, question, cpus),
            cpus_per_actor=CPUS_PER_GPU_ACTOR if on_gpu else _busy_threads(found),
            price_per_node_hour=question.price_per_node_hour,
        )
        projection = project(question.rows or found.rows.rows, times, shape)
    except ValueError as error:
        raise ConfigError(f"--nodes: {error}") from error
    return ClusterPlan(
        shape=shape, times=times, projection=projection, not_known=tuple(_not_known(found, question, projection))
    )


def cluster_plan_facts(plan: ClusterPlan) -> dict[str, Any]:
    """Return every figure, ready for JSON."""
    return {
        "shape": {**asdict(plan.shape), "actors": plan.shape.actors},
        "measured": asdict(plan.times),
        **asdict(plan.projection),
        "not_known": list(plan.not_known),
    }


def cluster_plan_rows(plan: ClusterPlan) -> list[tuple[str, str]]:
    """Return the figures for people."""
    shape, found = plan.shape, plan.projection
    gpus = f", {shape.gpus_per_node} GPUs" if shape.gpus_per_node else ""
    lines = [
        ("on a cluster", f"{shape.nodes:,} nodes of {shape.cpus_per_node} CPUs{gpus}; {shape.actors:,} actors"),
        ("rows", f"{found.rows:,}"),
        ("time", f"~{duration(found.wall_s)} at {found.rows_per_s:,.1f} rows/s, bound by: {found.bound_by}"),
        ("occupancy", ", ".join(f"{name} {100 * share:.0f} %" for name, share in found.occupancy.items())),
        ("node hours", f"~{found.node_hours:,.1f}" + (f"; GPU hours ~{found.gpu_hours:,.1f}" if gpus else "")),
    ]
    if found.cost is not None:
        lines.append(("cost", f"~{found.cost:,.2f}"))
    if found.bound_by != "answer":
        lines.append(("CPUs for full actors", f"{found.cpus_per_node_for_full_actors:,.0f} a node"))
    return lines + [("not known" if index == 0 else "", text) for index, text in enumerate(plan.not_known)]


def _times(found: DryRun, question: ClusterQuestion) -> StageTimes:
    sample = found.sample
    speed = question.rows_per_s_per_actor or sample.rows_per_s
    if sample.read_ms is None or sample.decode_ms is None or speed is None or not sample.rows_per_image:
        raise ConfigError("--nodes: none of the sampled rows could be answered, so nothing is known about any cluster")
    return StageTimes(
        read_ms=sample.read_ms / sample.rows_per_image,
        decode_ms=sample.decode_ms / sample.rows_per_image,
        rows_per_s_per_actor=speed,
        load_s=sample.load_s,
    )


def _busy_threads(found: DryRun) -> float:
    """CPUs that an actor's threads keep busy: none to speak of where it is held back."""
    return 0.1 if found.job.spec.engine.rows_per_s is not None else float(found.sample.threads)


def _actors_per_node(actors: ActorsConfig, question: ClusterQuestion, cpus: int) -> int:
    """As many as the GPUs carry; without GPUs the job's own number, spread over the nodes."""
    if question.gpus:
        return max(1, int(question.gpus / (actors.num_gpus or 1.0)))
    return max(1, (actors.max or actors.min) // question.nodes)


def _not_known(found: DryRun, question: ClusterQuestion, projection: Projection) -> list[str]:
    known = []
    if question.rows_per_s_per_actor is None and question.gpus and found.sample.device == "cpu":
        known.append(
            "how fast these GPUs answer: the sample was answered by this machine's CPU; measure on one such node, and "
            "give --actor-rows-per-s"
        )
    calls = projection.rows_per_s / found.job.spec.actors.rows_per_call
    if calls > TRIED_CALLS_PER_S:
        known.append(
            f"whether one driver can schedule {calls:,.0f} calls/s: {TRIED_CALLS_PER_S:g} were tried; larger "
            "actors.rows_per_call, or several jobs on parts of the inputs, ask less of it"
        )
    known.append("storage and network: reads are taken to be as quick for many nodes as for this one")
    if question.price_per_node_hour is None:
        known.append("cost: give --price-per-hour, with --nodes that of one node")
    return known
