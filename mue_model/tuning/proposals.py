"""Which joint thresholds are worth a free run: the Pareto front of the screen, without checks that do not pay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from mue_model.config import ExitConfig
from mue_model.tuning.cells import encoder_depths, encoder_stages
from mue_model.tuning.family import Vector, vectors_of
from mue_model.tuning.screen import Screen, pareto, thinned
from mue_model.tuning.worth import spent, worthwhile

STAGE_VECTORS = 12
"""Vectors of one stage that meet those of the others."""


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
    total, done = sum(map(len, families.values())), 0
    kept: list[list[Vector]] = []
    for stage in stages:
        alone = [ExitConfig.model_validate({stage: vector}) for vector in families[stage]]
        tried = _screened(screen, alone, partial(_told, progress, done, total))
        done += len(alone)
        places = _front(tried, floor, STAGE_VECTORS)
        kept.append([families[stage][place] for place in places])
    joint = [ExitConfig.model_validate(dict(zip(stages, own, strict=True))) for own in product(*kept)]
    total += len(joint)
    tried = _screened(screen, joint, partial(_told, progress, done, total))
    front = [tried[place] for place in _front(tried, floor, points)]
    without = [worthwhile(screen, proposal.exits) for proposal in front]
    final = _screened(screen, [exits for exits in dict.fromkeys(without) if exits != ExitConfig()])
    ordered = sorted(final, key=lambda proposal: (proposal.flops_share, -proposal.quality))
    return Proposals(front=tuple(ordered), screened=done + len(joint))


def _told(progress: Callable[[int, int], None], before: int, total: int, now: int) -> None:
    progress(before + now, total)


def _screened(
    screen: Screen, points: Sequence[ExitConfig], progress: Callable[[int], None] = lambda _: None
) -> list[Proposal]:
    found = []
    for number, exits in enumerate(points, start=1):
        own = screen.of(exits)
        found.append(Proposal(exits=exits, quality=screen.quality(own), flops_share=spent(own)))
        progress(number)
    return found


def _front(tried: Sequence[Proposal], floor: float, most: int) -> list[int]:
    """Return the front's points of at least `floor`, filled up with those that only it beats, and so on.

    A screen of a few hundred rows does not tell what lies within a row or two of the front from the front.
    """
    costs, left = [own.flops_share for own in tried], list(range(len(tried)))
    found: list[int] = []
    while left and len(found) < most:
        front = [left[place] for place in pareto((costs[place], tried[place].quality) for place in left)]
        good = [place for place in front if tried[place].quality >= floor]
        if not good:
            return found or front[-1:]
        found += thinned(good, costs, most - len(found))
        left = [place for place in left if place not in set(front)]
    return found
