"""A bound on what exits spoil that holds with a stated probability: Learn-then-Test. Needs neither torch nor numpy.

Source: Angelopoulos et al. 2021, arXiv 2110.01052; CALM, arXiv 2207.07061, applies it to exit thresholds. Of each point
the null hypothesis is that its risk, the mean loss over fresh images, exceeds alpha. One half of the images puts the
points into an order; the other half tests them in that order until one is not rejected. So the chance that any
certified point has a risk above alpha is at most delta, however many points there are, if the halves are drawn at
random and the second had no say in the points or their order.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

_LARGEST_STAKE = 0.75
"""Share of the wealth that one loss of 1 may cost."""


@dataclass(frozen=True)
class Losses:
    """Losses of one point in one task, an entry per image: rows of one image are no independent draws."""

    clusters: tuple[float, ...]
    """Mean loss of each image's rows, in [0, 1]; the images in random order."""
    binary: bool
    """Whether images have one row each by design, so that a cluster's loss is 0 or 1."""


@dataclass(frozen=True)
class Verdict:
    """One point of the path, in the order of the test."""

    name: str
    p_value: float
    """On the half that tests."""
    risk: float
    """Mean loss there; of several tasks, the worst."""
    certified: bool


def clustered(losses: Sequence[float], images: Sequence[Hashable], *, binary: bool) -> Losses:
    """Return the mean loss of each image; raise `ValueError` for a loss outside [0, 1]."""
    by_image: defaultdict[Hashable, list[float]] = defaultdict(list)
    for loss, image in zip(losses, images, strict=True):
        if not 0 <= loss <= 1:
            raise ValueError(f"loss {loss} of image {image!r} is not in [0, 1]")
        by_image[image].append(loss)
    if binary and any(len(own) > 1 for own in by_image.values()):
        raise ValueError("an image has several rows, so its loss may be a fraction: binary does not hold")
    return Losses(tuple(math.fsum(own) / len(own) for own in by_image.values()), binary)


def p_value(losses: Losses, alpha: float) -> float:
    """Return a p-value of "the risk exceeds `alpha`": exact binomial for losses of 0 and 1, else by `betting`."""
    if not losses.clusters:
        return 1.0
    if losses.binary:
        return binomial_cdf(round(math.fsum(losses.clusters)), len(losses.clusters), alpha)
    return betting(losses.clusters, alpha)


def betting(losses: Sequence[float], alpha: float, *, aim: float = 0.05) -> float:
    """Return the p-value of Waudby-Smith & Ramdas 2023 (arXiv 2010.09686) for independent losses in [0, 1].

    Whoever bets on each loss being below `alpha`, knowing those before it alone, does not get richer on average where
    their mean is not; so one over his greatest wealth is a p-value. Stakes follow the spread of the losses, so that
    images of several rows, whose means spread little, prove more than under bounds that know no spread (Hoeffding's).

    Args:
        losses: In random order: where they are sorted, small ones first, they prove what does not hold.
        alpha: In (0, 1).
        aim: The p-value at which the stakes aim; valid whatever it is.
    """
    count, squares, total = len(losses), 0.25, 0.5
    wealth, richest, spread = 0.0, 0.0, 0.25
    for number, loss in enumerate(losses, start=2):
        stake = min(math.sqrt(-2 * math.log(aim) / (count * spread)), _LARGEST_STAKE / (1 - alpha))
        wealth += math.log1p(stake * (alpha - loss))
        richest = max(richest, wealth)
        total += loss
        mean = total / number
        squares += (loss - mean) ** 2
        spread = squares / number
    return math.exp(-richest)


def binomial_cdf(most: int, count: int, chance: float) -> float:
    """Return the probability of at most `most` successes among `count`, each of `chance` in (0, 1)."""
    if most >= count:
        return 1.0
    terms = (
        math.lgamma(count + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(count - hits + 1)
        + hits * math.log(chance)
        + (count - hits) * math.log1p(-chance)
        for hits in range(most + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def images_needed(alpha: float, delta: float, *, binary: bool) -> int:
    """Return the fewest images without any loss that are certified at `alpha`."""
    most = 1
    while p_value(Losses((0.0,) * most, binary), alpha) > delta:
        most *= 2
    return bisect_left(range(most), True, key=lambda count: p_value(Losses((0.0,) * count, binary), alpha) <= delta)


def worst_p(by_task: Mapping[str, Losses], alpha: float) -> float:
    """Return the p-value of "some task's risk exceeds `alpha`": the largest, without correction (Berger 1982)."""
    return max(p_value(losses, alpha) for losses in by_task.values())


def certify(
    ordering: Mapping[str, Mapping[str, Losses]],
    testing: Mapping[str, Mapping[str, Losses]],
    *,
    alpha: float,
    delta: float,
) -> list[Verdict]:
    """Test the points in order, the most promising first, until the first that is not rejected.

    Args:
        ordering: Losses by point, then task, of the images that decide the order.
        testing: The same of the images that test; no image may be in both.
        alpha: Risk that a certified point does not exceed, in each task.
        delta: Chance that some certified point does.

    Returns:
        All points in the order of the test; `certified` are those of the front that passed.
    """
    path = sorted(ordering, key=lambda name: (worst_p(ordering[name], alpha), _risk(ordering[name]), name))
    found = {name: worst_p(testing[name], alpha) for name in path}
    passed = set(takewhile(lambda name: found[name] <= delta, path))
    return [Verdict(name, found[name], _risk(testing[name]), name in passed) for name in path]


def _risk(by_task: Mapping[str, Losses]) -> float:
    return max(math.fsum(losses.clusters) / max(1, len(losses.clusters)) for losses in by_task.values())
