"""Whether Ray can place a job's actors on the nodes of a cluster at their most. Plain arithmetic: no ray, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.local import DECODE_CPUS
from cluster.projection import actors_on_gpus


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Nodes of one kind, as Ray counts them."""

    group: str
    nodes: int
    """Most of them."""
    cpus: int
    gpus: int

    def actors_on_one(self, num_cpus: float, num_gpus: float, *, cpus_left: float = 0.0) -> float:
        """Return how many actors that reserve so much fit on one node, beside so many CPUs for others."""
        by_cpus = math.floor((self.cpus - cpus_left) / num_cpus + 1e-9) if num_cpus else math.inf
        by_gpus = actors_on_gpus(self.gpus, num_gpus) if num_gpus else math.inf
        return max(0, min(by_cpus, by_gpus))


def check_placement(nodes: Sequence[Nodes], *, actors: int, num_cpus: float, num_gpus: float) -> None:
    """Refuse actors that would be waited for in vain: all are there before the first row, and rows have to be decoded.

    Args:
        nodes: All that there may be.
        actors: The fewest of the job.
        num_cpus: What one reserves.
        num_gpus: What one reserves.

    Raises:
        ValueError: One actor fits on no node, or so many do not fit on all of them.
    """
    if not any(kind.actors_on_one(num_cpus, num_gpus) for kind in nodes):
        raise ValueError(_too_large(nodes, num_cpus=num_cpus, num_gpus=num_gpus))
    each = [(kind, kind.actors_on_one(num_cpus, num_gpus)) for kind in nodes]
    spared = [
        fit - kind.actors_on_one(num_cpus, num_gpus, cpus_left=DECODE_CPUS) for kind, fit in each if fit < math.inf
    ]
    room = sum(kind.nodes * fit for kind, fit in each)
    # Somewhere a decode must find its CPUs: where that takes the place of the fewest actors.
    room -= min(spared, default=0) if len(spared) == len(each) else 0
    if actors > room:
        at_most = ", ".join(f"{kind.nodes} of {kind.group}" for kind, fit in each if fit)
        raise ValueError(
            f"actors.min = {actors}: the first row waits for all of them, and at most {room:g} fit on all nodes that "
            f"there may be ({at_most}) beside what decodes; {_fewer(int(room))} nodes_max"
        )


def _fewer(room: int) -> str:
    if room < 1:
        return "give less actors.num_cpus, or raise"
    return f"give --actors {room}, or {room}:MAX, or raise"


def _too_large(nodes: Sequence[Nodes], *, num_cpus: float, num_gpus: float) -> str:
    most_gpus = max(nodes, key=lambda kind: kind.gpus)
    most_cpus = max(nodes, key=lambda kind: kind.cpus)
    if num_gpus and not most_gpus.gpus:
        return f"actors.num_gpus = {num_gpus:g}: no node has a GPU; leave it out, or give a group of nodes gpus"
    if num_gpus > most_gpus.gpus:
        return (
            f"actors.num_gpus = {num_gpus:g}: no node has more than {most_gpus.gpus} ({most_gpus.group}); ask for as "
            "many, or give a group of nodes more gpus"
        )
    if num_cpus > most_cpus.cpus:
        return (
            f"actors.num_cpus = {num_cpus:g}: no node has more than {most_cpus.cpus} ({most_cpus.group}); ask for "
            "fewer, or give a group of nodes more cpus"
        )
    most_beside = max(kind.cpus for kind in nodes if kind.gpus >= num_gpus)
    return (
        f"actors.num_cpus = {num_cpus:g}: no node with GPUs for an actor (actors.num_gpus = {num_gpus:g}) has more "
        f"than {most_beside}; ask for fewer, or give such a group more cpus"
    )
