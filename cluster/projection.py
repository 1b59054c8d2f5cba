"""What a job of so many rows takes on so many nodes: arithmetic from measured stage times, nothing else.

Every stage runs beside the others, so the slowest one sets the pace and the others are idle in part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

START_S = 30.0
"""Start of a pipeline and its actors, on nodes that are there already, beside the loading of the model; assumed."""


MOST_ROWS = 10**15
MOST_NODES = 10**6
LEAST_ROWS_PER_S = 1e-9
"""Of one actor. Beyond these bounds figures mean nothing, and at last are no numbers."""


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """What was measured, on such nodes or on other ones."""

    read_ms: float
    """CPU time to read one row."""
    decode_ms: float
    """CPU time to decode one row."""
    rows_per_s_per_actor: float
    load_s: float
    """Time to load the model."""


@dataclass(frozen=True, kw_only=True)
class ClusterShape:
    """The nodes of a job; all alike."""

    nodes: int
    cpus_per_node: int
    gpus_per_node: int
    actors: int
    """Of all nodes."""
    cpus_per_actor: float
    """CPUs that an actor's own threads keep busy, and that read and decode no rows."""
    price_per_node_hour: float | None = None

    def __post_init__(self) -> None:
        if self.nodes > MOST_NODES:
            raise ValueError(f"more than {MOST_NODES:,} nodes")
        if min(self.nodes, self.cpus_per_node, self.actors) < 1 or self.gpus_per_node < 0:
            raise ValueError(
                f"{self.nodes} nodes of {self.cpus_per_node} CPUs and {self.gpus_per_node} GPUs, {self.actors} actors: "
                "expected at least one node, CPU and actor"
            )

    @property
    def actors_per_node(self) -> float:
        """On average: nodes may have one more or less."""
        return self.actors / self.nodes

    @property
    def preparing_cpus(self) -> float:
        """CPUs of all nodes that read and decode; some always do, be it at the actors' expense."""
        return self.nodes * max(self.cpus_per_node - self.actors_per_node * self.cpus_per_actor, 0.5)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What the job takes."""

    rows: int
    rows_per_s: float
    bound_by: str
    """The slowest stage: `read`, `decode` or `answer`."""
    occupancy: dict[str, float]
    """Share of the time that the stages' processors are at work: `cpu` reads and decodes, `actors` answer."""
    wall_s: float
    start_s: float
    """Of these, while actors start and nothing is answered."""
    node_hours: float
    gpu_hours: float
    cost: float | None
    """None where no price was given."""
    cpus_per_node_for_full_actors: float
    """CPUs with which a node would keep its actors busy."""


def actors_on_gpus(gpus: int, gpus_per_actor: float) -> int:
    """Return how many actors the GPUs of one node carry: one may have several, but no actor has parts of two."""
    if gpus_per_actor < 1:
        return gpus * math.floor(1 / gpus_per_actor + 1e-9)
    return math.floor(gpus / gpus_per_actor)


def project(rows: int, times: StageTimes, shape: ClusterShape, *, pools: int = 1) -> Projection:
    """Return what `rows` rows take on `shape`, where actors are started `pools` times, one pool after another.

    Raises:
        ValueError: Nothing was measured, there is no row, or there are more than anybody has.
    """
    row_cpu_s = (times.read_ms + times.decode_ms) / 1000
    if rows < 1 or not row_cpu_s > 0 or not times.rows_per_s_per_actor > 0:
        raise ValueError(
            f"{rows} rows, {row_cpu_s} s to prepare one, {times.rows_per_s_per_actor} answers/s: need more"
        )
    if rows > MOST_ROWS or times.rows_per_s_per_actor < LEAST_ROWS_PER_S:
        raise ValueError(f"expected at most {MOST_ROWS:,} rows, and at least {LEAST_ROWS_PER_S:g} rows/s of an actor")
    prepared = shape.preparing_cpus / row_cpu_s
    answered = shape.actors * times.rows_per_s_per_actor
    pace = min(prepared, answered)
    preparing = "read" if times.read_ms > times.decode_ms else "decode"
    start_s = pools * (START_S + times.load_s)
    wall_s = start_s + rows / pace
    node_hours = shape.nodes * wall_s / 3600
    node_answers = shape.actors_per_node * times.rows_per_s_per_actor
    return Projection(
        rows=rows,
        rows_per_s=pace,
        bound_by="answer" if answered <= prepared else preparing,
        occupancy={"cpu": pace / prepared, "actors": pace / answered},
        wall_s=wall_s,
        start_s=start_s,
        node_hours=node_hours,
        gpu_hours=node_hours * shape.gpus_per_node,
        cost=None if shape.price_per_node_hour is None else node_hours * shape.price_per_node_hour,
        cpus_per_node_for_full_actors=node_answers * row_cpu_s + shape.actors_per_node * shape.cpus_per_actor,
    )
