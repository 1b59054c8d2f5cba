"""Which joint thresholds are worth a free run: the Pareto front of the screen, without checks that do not pay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeVar

from mue_model.config import ExitConfig
from mue_model.tuning.cells import encoder_stages
from mue_model.tuning.family import Vector, depths_of, exits_of, is_constant, vectors_of
from mue_model.tuning.screen import Screen, pareto, thinned
from mue_model.tuning.worth import worthwhile

STAGE_VECTORS = 20
"""Vectors of one stage that meet those of the others, beside the constant depths."""
NEAR = 0.75
"""Of the points, the share that costs no more than the cheapest which the screen itself takes for good enough."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One point that is worth a free run."""

    exits: ExitConfig
    quality: float
    """Share of full depth's quality, in the task that keeps least."""
    spent_share: float
    """Cost over that of full depth, as who proposes it counts, the mean of the tasks."""


P = TypeVar("P", bound=Proposal)


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The front, and how many points it was chosen from."""

    front: tuple[Proposal, ...]
    """Points where some rows leave earlier than others."""
    constants: Mapping[tuple[int, ...], Proposal]
    """The front of those where none does, by the depth of each stage: what being deep where it matters is worth."""
    screened: int


def propose(
    screen: Screen,
    *,
    points: int,
    floor: float,
    progress: Callable[[int, int], None],
    aim: float = math.inf,
    constants: int = 0,
) -> Proposals:
    """Screen each stage's family alone, then the joint points of what is left; return at most `points` of the front.

    Args:
        screen: Over rows that no later test uses.
        points: Most points of the front, spread over its costs.
        floor: Points that keep less than this share of the quality are left out.
        aim: Share of the quality that somebody asks for: most points are not to cost more than that needs.
        constants: Most points of a front of their own, of depths that are one for each stage but not one for all.
        progress: Is told the points screened so far, and of how many.
    """
    families = {stage: vectors_of(screen.seen(stage)) for stage in screen.stages}
    total, done = sum(map(len, families.values())), 0
    kept: dict[str, list[Vector]] = {}
    for stage, family in families.items():
        alone = [exits_of({stage: vector}) for vector in family]
        tried = _screened(screen, alone, partial(_told, progress, done, total))
        done += len(alone)
        best = [family[place] for place in _front(tried, floor, STAGE_VECTORS)]
        # Thresholds were drawn from the rows that judge them here, which flatters them; constant depths were not.
        kept[stage] = list(dict.fromkeys([*best, *filter(is_constant, family)]))
    joint = math.prod(map(len, kept.values()))
    tried = _joined(screen, kept, partial(_told, progress, done, done + joint))
    depths = [_depths(screen, own) for own in tried]
    front = around([own for own, same in zip(tried, depths, strict=True) if same is None], floor, aim, points)
    without = [worthwhile(screen, proposal.exits) for proposal in front]
    final = [own for own in _screened(screen, list(dict.fromkeys(without))) if _depths(screen, own) is None]
    steady = [own for own, same in zip(tried, depths, strict=True) if same is not None and len(set(same)) > 1]
    return Proposals(
        front=tuple(sorted(final, key=lambda proposal: (proposal.spent_share, -proposal.quality))),
        constants={_depths(screen, own) or (): own for own in around(steady, floor, aim, constants)},
        screened=done + joint,
    )


def _depths(screen: Screen, own: Proposal) -> tuple[int, ...] | None:
    return depths_of(own.exits.per_layer(screen.config), screen.stages)


def _told(progress: Callable[[int, int], None], before: int, total: int, now: int) -> None:
    progress(before + now, total)


def _joined(screen: Screen, kept: Mapping[str, Sequence[Vector]], progress: Callable[[int], None]) -> list[Proposal]:
    """Return every vector of each stage with every one of the others; each task is screened once for what it meets."""
    encoder, found = encoder_stages(screen.config), list[Proposal]()
    for own in product(*(kept[stage] for stage in encoder)):
        streams = dict(zip(encoder, own, strict=True))
        each = [
            [
                (last, vector, screen.of(exits_of({**streams, last: vector}), tasks=screen.tasks_of(last)))
                for vector in kept[last]
            ]
            for last in screen.last_stages
        ]
        for chosen in product(*each):
            results = {task: result for _, _, tasks in chosen for task, result in tasks.items()}
            exits = exits_of({**streams, **{last: vector for last, vector, _ in chosen}}, screen.decoder_signal)
            found.append(Proposal(exits=exits, quality=screen.quality(results), spent_share=screen.spent(results)))
        progress(len(found))
    return found


def _screened(
    screen: Screen, points: Sequence[ExitConfig], progress: Callable[[int], None] = lambda _: None
) -> list[Proposal]:
    found = []
    for number, exits in enumerate(points, start=1):
        own = screen.of(exits)
        found.append(Proposal(exits=exits, quality=screen.quality(own), spent_share=screen.spent(own)))
        progress(number)
    return found


def around(tried: Sequence[P], floor: float, aim: float, most: int) -> list[P]:
    """Return the front, most of it where what keeps `aim` is to be found; the rest tells what more buys.

    Where none keeps `floor`, the one that keeps most is returned.
    """
    if not tried:
        return []
    enough = min((own.spent_share for own in tried if own.quality >= aim), default=math.inf)
    near = [own for own in tried if own.spent_share <= enough]
    better = max(own.quality for own in near)
    dear = [own for own in tried if own.spent_share > enough and own.quality > better]
    found = [near[place] for place in _front(near, floor, math.ceil(NEAR * most) if dear else most)]
    return found + [dear[place] for place in _front(dear, floor, most - len(found))]


def _front(tried: Sequence[Proposal], floor: float, most: int) -> list[int]:
    """Return the front's points of at least `floor`, filled up with those that only it beats, and so on.

    A screen of a few hundred rows does not tell what lies within a row or two of the front from the front.
    """
    costs, left = [own.spent_share for own in tried], list(range(len(tried)))
    found: list[int] = []
    while left and len(found) < most:
        front = [left[place] for place in pareto((costs[place], tried[place].quality) for place in left)]
        good = [place for place in front if tried[place].quality >= floor]
        if not good:
            return found or front[-1:]
        found += thinned(good, costs, most - len(found))
        left = [place for place in left if place not in set(front)]
    return found
