"""`mue plan --nodes`: what a dry run's measurements say about a cluster, and what they cannot say."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from cluster.projection import ClusterShape, Projection, StageTimes, actors_on_gpus, project
from jobs.dry_run import DryRun
from jobs.machine import this_machine
from jobs.progress import duration
from jobs.run import SEGMENT_SHARDS, pools_of
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
    """None: those of the inputs. More of them are taken to lie in more shards of the same size."""
    rows_per_s_per_actor: float | None = None
    """As measured on such a device; None: as sampled here."""
    price_per_node_hour: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """What the job would take there."""

    shape: ClusterShape
    times: StageTimes
    projection: Projection
    pools: int
    """Pools of actors, one after another: each segment of the job has one of its own."""
    needs: tuple[str, ...]
    """What the settings would have to be for that."""
    not_known: tuple[str, ...]


def plan_for_cluster(found: DryRun, question: ClusterQuestion) -> ClusterPlan:
    """Return what the job of a dry run would take on a cluster.

    Raises:
        ConfigError: The sample could not be measured, or the question makes no sense.
    """
    times = _times(found, question)
    actors = found.job.spec.actors
    cpus = question.cpus or this_machine().cores
    on_gpu = question.gpus > 0 and actors.num_gpus != 0
    rows = question.rows or found.rows.rows
    pools = pools_of(len(found.job.plan.shards) * rows / max(1, found.rows.rows))
    try:
        shape = ClusterShape(
            nodes=question.nodes,
            cpus_per_node=cpus,
            gpus_per_node=question.gpus,
            actors=_actors(actors, question, cpus),
            cpus_per_actor=CPUS_PER_GPU_ACTOR if on_gpu else _busy_threads(found),
            price_per_node_hour=question.price_per_node_hour,
        )
        projection = project(rows, times, shape, pools=pools)
    except ValueError as error:
        raise ConfigError(f"--nodes: {error}") from error
    return ClusterPlan(
        shape=shape,
        times=times,
        projection=projection,
        pools=pools,
        needs=tuple(_needs(actors, shape)),
        not_known=tuple(_not_known(found, question, projection)),
    )


def cluster_plan_facts(plan: ClusterPlan) -> dict[str, Any]:
    """Return every figure, ready for JSON."""
    return {
        "shape": {**asdict(plan.shape), "actors_per_node": plan.shape.actors_per_node},
        "measured": asdict(plan.times),
        **asdict(plan.projection),
        "pools": plan.pools,
        "needs": list(plan.needs),
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
    if plan.pools > 1:
        shards = f"one for every {SEGMENT_SHARDS:,} shards of {found.rows / plan.pools / SEGMENT_SHARDS:,.0f} rows"
        lines.append(("starts", f"{plan.pools:,} pools of actors, {shards}; ~{duration(found.start_s)} of the time"))
    lines += [("needs", text) for text in plan.needs]
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


def _actors(actors: ActorsConfig, question: ClusterQuestion, cpus: int) -> int:
    """Of all nodes: as many as the GPUs carry; without GPUs the job's own number. None that Ray could not place."""
    fitting = math.floor(cpus / actors.num_cpus) if actors.num_cpus else math.inf
    if question.gpus and actors.num_gpus != 0:
        gpus = 1.0 if actors.num_gpus is None else actors.num_gpus
        fitting = min(fitting, actors_on_gpus(question.gpus, gpus))
        return question.nodes * int(fitting)
    return int(min(_settings_actors(actors), question.nodes * fitting))


def _settings_actors(actors: ActorsConfig) -> int:
    return actors.max or actors.min


def _needs(actors: ActorsConfig, shape: ClusterShape) -> list[str]:
    if (given := _settings_actors(actors)) != shape.actors:
        return [f"--actors {shape.actors}: the job's settings say {given}"]
    return []


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
