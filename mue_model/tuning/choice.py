"""Which of the points that ran freely becomes a preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

from mue_model.config import ExitConfig, ModelConfig
from mue_model.tuning.by import By
from mue_model.tuning.net_work import NetWork


@dataclass(frozen=True, kw_only=True)
class TaskFigures:
    """One point in one task, from free runs."""

    rows: int
    quality: float
    """Share of rows that are right: captions word for word, labels."""
    kept: float
    """`quality` over that of full depth."""
    kept_error: float
    """Standard error of `kept`."""
    flops_executed: int
    flops_checks: int
    flops_full_same_length: int
    flops_share: float
    """Executed over full depth at the same length, checks not included: as every report has it."""
    net: NetWork
    """What a job executes for the rows together."""
    layers: Mapping[str, float]
    """Mean layers run, by image, text and decoder."""
    paper_layer_metric: float
    """Layers not run, as the MuE paper counts them; neither FLOPs nor time."""
    seconds: float
    time_share: float
    """Over full depth in the same run."""

    @property
    def kept_within(self) -> float:
        """Half of the 95 % interval of `kept`."""
        return NormalDist().inv_cdf(0.975) * self.kept_error

    @property
    def spent_share(self) -> float:
        """FLOPs executed and checks over full depth."""
        return (self.flops_executed + self.flops_checks) / self.flops_full_same_length

    def cost(self, by: By) -> float:
        """Return what the point costs over full depth; time as it was measured."""
        return {"flops": self.spent_share, "work": self.net.share, "time": self.time_share}[by]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One point, measured in every task."""

    name: str
    exits: ExitConfig
    tasks: Mapping[str, TaskFigures]

    @property
    def kept(self) -> float:
        """Share of full depth's quality, in the task that keeps least."""
        return min(own.kept for own in self.tasks.values())

    def kept_surely(self, confidence: float | None) -> float:
        """Return the lower bound of `kept` at a one-sided `confidence`, of the task where it is lowest.

        Without one, return the share itself.
        """
        errors = 0.0 if confidence is None else NormalDist().inv_cdf(confidence)
        return min(own.kept - errors * own.kept_error for own in self.tasks.values())

    @property
    def spent_share(self) -> float:
        """FLOPs with checks over full depth; every task counts the same."""
        return sum(own.spent_share for own in self.tasks.values()) / len(self.tasks)

    @property
    def time_share(self) -> float:
        """Time over full depth; every task counts the same."""
        return self.cost("time")

    def cost(self, by: By) -> float:
        """Return what the point costs over full depth; every task counts the same."""
        return sum(own.cost(by) for own in self.tasks.values()) / len(self.tasks)


def paper_layer_metric(config: ModelConfig, layers: Mapping[str, float]) -> float:
    """Return the share of layers that were not run, as MuE counts them: streams half each, tokens by their mean."""
    run = (layers["image"] + layers["text"]) / 2 + layers["decoder"]
    return 1 - run / (config.encoder_layers + config.decoder_layers)


def cheapest(
    points: Sequence[Measured], *, min_quality: float, by: By, confidence: float | None = None
) -> Measured | None:
    """Return the point of the least cost, of equals the fastest, that keeps `min_quality` in every task, if any.

    Of many points some seem better than they are, and the cheapest that seems good enough is likely one of them: with
    `confidence` the lower bound must reach `min_quality`.
    """
    good = [point for point in points if point.kept_surely(confidence) >= min_quality]
    return min(good, key=lambda point: (point.cost(by), point.time_share), default=None)


def best(points: Sequence[Measured], *, max_flops: float) -> Measured | None:
    """Return the point that keeps most, of equals the cheapest, of at most this share of the FLOPs, if any."""
    good = [point for point in points if point.spent_share <= max_flops]
    return max(good, key=lambda point: (point.kept, -point.spent_share, -point.time_share), default=None)


def baseline(constants: Sequence[Measured], task: str, by: By) -> list[tuple[float, float]]:
    """Return (cost, quality) of the best that constant depths do, by rising cost: their upper convex hull.

    Constant depths cost steps; between two of them a mix of both reaches what is on a straight line.
    """
    best_at = dict(sorted((own.tasks[task].cost(by), own.tasks[task].quality) for own in constants))
    hull: list[tuple[float, float]] = []
    for point in best_at.items():
        while len(hull) > 1 and _below(hull[-1], hull[-2], point):
            hull.pop()
        hull.append(point)
    return hull


def above_constant(point: Measured, constants: Sequence[Measured], task: str, by: By) -> float | None:
    """Return by how much a point's quality exceeds the `baseline` at equal cost; None outside its range."""
    at, quality = point.tasks[task].cost(by), point.tasks[task].quality
    for (low, worse), (high, better) in pairwise(baseline(constants, task, by)):
        if low <= at <= high:
            return quality - (worse + (better - worse) * (at - low) / (high - low))
    return None


def _below(point: tuple[float, float], left: tuple[float, float], right: tuple[float, float]) -> bool:
    """Return whether a point lies on or below the line of its neighbours."""
    return (point[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (point[0] - left[0])
