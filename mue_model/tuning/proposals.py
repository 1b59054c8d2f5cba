"""Which joint thresholds are worth a free run: the Pareto front of the screen, without checks that do not pay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mue_model.config import ExitConfig
from mue_model.tuning.cells import encoder_depths, encoder_stages
from mue_model.tuning.family import ALWAYS, NEVER, Vector, vectors_of
from mue_model.tuning.screen import Screen, Screened, pareto, thinned

STAGE_VECTORS = 14
"""Vectors of one stage that meet those of the others."""
LEAST_LEAVING = 0.01
"""Share of those asked that a check must let go. Its FLOPs are next to nothing, but it splits a group and waits for the
device, which FLOPs do not show."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One point of the screen's front."""

    exits: ExitConfig
    quality: float
    """Share of full depth's quality, in the task that keeps least."""
    flops_share: float
    """Executed and checks over full depth, the mean of the tasks."""


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The front, and how many points it was chosen from."""

    front: tuple[Proposal, ...]
    screened: int


def propose(screen: Screen, *, points: int, floor: float, progress: Callable[[int, int], None]) -> Proposals:
    """Screen each stage's family alone, then the joint points of what is left; return at most `points` of the front.

    Args:
        screen: Over rows that no later test uses.
        points: Most points of the front, spread over its costs.
        floor: Points that keep less than this share of the quality are left out.
        progress: Is told the points screened so far, and of how many.
    """
    stages = [*encoder_stages(screen.config), "decoder"]
    layers = screen.config.decoder_layers
    depths = {stage: encoder_depths(screen.config) for stage in stages[:-1]} | {"decoder": tuple(range(1, layers + 1))}
    families = {stage: vectors_of(screen.seen(stage), depths[stage]) for stage in stages}
    total, done, kept = sum(map(len, families.values())), 0, []
    for stage in stages:
        alone = [ExitConfig(**{stage: vector}) for vector in families[stage]]
        tried = _screened(screen, alone, floor, lambda now, base=done: progress(base + now, total))
        done += len(alone)
        places = _front(tried, floor, STAGE_VECTORS)
        kept.append([families[stage][place] for place in places])
    joint = [ExitConfig(**settings(stages, vectors)) for vectors in product(*kept)]
    total += len(joint)
    tried = _screened(screen, joint, floor, lambda now: progress(done + now, total))
    front = [tried[place] for place in _front(tried, floor, points)]
    without = [worthwhile(screen, proposal.exits) for proposal in front]
    final = _screened(screen, list(dict.fromkeys(without)), floor, lambda _: None)
    return Proposals(front=tuple(final), screened=done + len(joint))


def settings(stages: Sequence[str], vectors: Sequence[Vector]) -> Mapping[str, Any]:
    """Return vectors by the names of `ExitConfig`."""
    return dict(zip(stages, vectors, strict=True))


def worthwhile(screen: Screen, exits: ExitConfig) -> ExitConfig:
    """Return `exits` without checks that let next to nobody go, or cost more FLOPs than they save."""
    vectors = exits.per_layer(screen.config)
    for stage in (*encoder_stages(screen.config), "decoder"):
        for layer, threshold in enumerate(vectors[stage][:-1]):
            if threshold >= NEVER:
                continue
            with_check = screen.of(ExitConfig(**vectors))
            asked, leaving = _traffic(with_check.values(), stage, layer)
            own = vectors[stage]
            dropped = {**vectors, stage: (*own[:layer], NEVER, *own[layer + 1 :])}
            if leaving < LEAST_LEAVING * asked or (
                threshold > ALWAYS and _spent(screen.of(ExitConfig(**dropped))) <= _spent(with_check)
            ):
                vectors = dropped
    used = {stage: vectors[stage] for stage in (*encoder_stages(screen.config), "decoder")}
    return ExitConfig(**{stage: NEVER if min(vector) >= NEVER else vector for stage, vector in used.items()})


def _traffic(found: Any, stage: str, layer: int) -> tuple[int, int]:
    """Return how many states were asked after a layer, and how many left there."""
    depths = np.concatenate([_depths(own, stage) for own in found])
    return int((depths > layer).sum()), int((depths == layer + 1).sum())


def _depths(found: Screened, stage: str) -> np.ndarray:
    if stage == "decoder":
        return np.concatenate([trace.decoder for trace in found.traces])
    return np.array([trace.text if stage == "text" else trace.image for trace in found.traces])


def _spent(found: Mapping[str, Screened]) -> float:
    return float(np.mean([own.share for own in found.values()]))


def _screened(
    screen: Screen, points: Sequence[ExitConfig], floor: float, progress: Callable[[int], None]
) -> list[Proposal]:
    found = []
    for number, exits in enumerate(points, start=1):
        own = screen.of(exits)
        found.append(Proposal(exits=exits, quality=screen.quality(own), flops_share=_spent(own)))
        progress(number)
    return found


def _front(tried: Sequence[Proposal], floor: float, most: int) -> list[int]:
    places = pareto((own.flops_share, own.quality) for own in tried)
    good = [place for place in places if tried[place].quality >= floor] or places[-1:]
    return thinned(good, [own.flops_share for own in tried], most)
