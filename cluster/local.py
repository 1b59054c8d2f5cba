"""How many actors, CPUs and threads one machine can carry. Plain arithmetic: no ray, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

READ_CPUS = 0.25
"""Ray CPUs of one read task."""
DECODE_CPUS = 0.5
"""Ray CPUs of one decode task."""
WRITE_CPUS = 0.0
"""Ray CPUs of one write task: it waits for nothing, so that rows are committed whatever else runs."""
ACTOR_CPUS = 0.5
"""Most Ray CPUs of one actor: a scheduling token; the threads below do the work."""
ACTOR_GIB = 2.0
"""Memory set aside per actor in GiB: torch, a small model, the rows in flight."""
CPU_ACTOR_CORES = 4
"""Cores of one CPU actor before a second one pays: matmuls of small groups do not fill more."""


@dataclass(frozen=True, kw_only=True)
class LocalLayout:
    """Shares of one machine."""

    actors: int
    cpus_per_actor: float
    """Ray CPUs that one actor reserves."""
    gpus_per_actor: float
    """Ray GPUs that one actor reserves."""
    torch_threads: int
    """CPU threads of torch in one actor."""
    ray_num_cpus: int
    """CPUs that Ray may hand out."""
    decode_concurrency: int
    """Decode tasks at a time."""


def local_layout(cores: int, gpus: int = 0, memory_gib: float = math.inf) -> LocalLayout:
    """Return a layout that asks for no more than there is and always leaves CPUs for a read, a decode and a write.

    With GPUs: one actor per GPU. Without: one actor per four cores. Memory bounds the actors in both cases; one
    actor is always there.

    Raises:
        ValueError: If there is no core, or a negative number of GPUs or of GiB.
    """
    if cores < 1 or gpus < 0 or not memory_gib > 0:
        raise ValueError(f"cores {cores}, gpus {gpus}, memory_gib {memory_gib}: need a core, memory, and no negatives")
    wanted = gpus or max(1, cores // CPU_ACTOR_CORES)
    fitting = wanted if math.isinf(memory_gib) else max(1, int(memory_gib / 2 / ACTOR_GIB))
    actors = min(wanted, fitting, cores if gpus else wanted)
    # A token that is too large starves the reads, and the job hangs: the pipeline's own share comes first.
    pipeline_cpus = READ_CPUS + DECODE_CPUS + WRITE_CPUS
    cpus_per_actor = min(ACTOR_CPUS, _floor((cores - pipeline_cpus) / actors))
    left = cores - actors * cpus_per_actor - READ_CPUS - WRITE_CPUS
    return LocalLayout(
        actors=actors,
        cpus_per_actor=cpus_per_actor,
        gpus_per_actor=1.0 if gpus else 0.0,
        torch_threads=1 if gpus else torch_threads(cores, actors),
        ray_num_cpus=cores,
        decode_concurrency=max(1, int(left / DECODE_CPUS)),
    )


def torch_threads(cores: int, actors: int) -> int:
    """Return the torch threads of each of `actors` on a CPU, less a core for reading and decoding.

    The threads of one matrix product wait for each other, so one busy core stalls all of them.
    """
    return max(1, (cores - 1) // actors)


def actor_threads(node_cpus: Sequence[int], actors: int) -> int:
    """Return the torch threads of each of `actors` spread over nodes, on CPUs: no more than any one node has."""
    return max(1, min((sum(node_cpus) - len(node_cpus)) // actors, max(node_cpus) - 1))


def _floor(cpus: float) -> float:
    """Round down to Ray's own resolution, so that a sum never exceeds the whole."""
    return math.floor(cpus * 10_000) / 10_000
