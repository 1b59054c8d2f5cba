"""Which of the points that ran freely becomes a preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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


def cheapest(points: Sequence[Measured], *, min_quality: float, by: By) -> Measured | None:
    """Return the point of the least cost, of equals the fastest, that keeps `min_quality` in every task, if any."""
    good = [point for point in points if point.kept >= min_quality]
    return min(good, key=lambda point: (point.cost(by), point.time_share), default=None)


def best(points: Sequence[Measured], *, max_flops: float) -> Measured | None:
    """Return the point that keeps most, of equals the cheapest, of at most this share of the FLOPs, if any."""
    good = [point for point in points if point.spent_share <= max_flops]
    return max(good, key=lambda point: (point.kept, -point.spent_share, -point.time_share), default=None)


def above_constant(point: Measured, constants: Sequence[Measured], task: str, by: By) -> float | None:
    """Return by how much a point's quality exceeds that of constant depth at equal cost; None outside their range.

    Constant depths cost steps; between two of them the quality is taken to be on a straight line, which a mix of both
    would reach.
    """
    line = sorted((own.tasks[task].cost(by), own.tasks[task].quality) for own in constants)
    at, quality = point.tasks[task].cost(by), point.tasks[task].quality
    for (low, worse), (high, better) in pairwise(line):
        if low <= at <= high:
            return quality - (worse + (better - worse) * (at - low) / (high - low))
    return None
