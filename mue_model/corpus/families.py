"""How scenes are built, one function for each family; what each level of difficulty asks for.

Two streams of choices: `what` fixes everything that words depend on, `where` only places, poses and exact sizes. So a
scene may be laid out anew, where an object came out hidden, without another word becoming more likely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from mue_model.corpus import layouts
from mue_model.corpus.colours import COLOURS
from mue_model.corpus.draws import Draws
from mue_model.corpus.nouns import NOUNS
from mue_model.corpus.partition import Choice, palettes_of, part_of
from mue_model.corpus.scene import Family, Scene, Thing
from mue_model.corpus.settings import CORPUS_VERSION, CorpusSettings, Split

COUNTS = range(2, 10)
"""How many things of one kind a scene of the family "count" may show."""
_SIZES = {"big": (0.35, 0.40), "small": (0.19, 0.23)}
_COLOURS = tuple(COLOURS)


@dataclass(frozen=True, slots=True)
class Order:
    """What a scene is to be made of."""

    what: Draws
    where: Draws
    choice: Choice
    hard: bool
    """Look-alikes, more objects, smaller steps."""

    def nouns(self, count: int) -> list[str]:
        """Draw different nouns; in hard scenes two or more look alike."""
        return self.choice.draw(self.what, count, look_alikes=min(count, self.what.integer(2, 3)) if self.hard else 0)

    def colours(self, count: int) -> list[str]:
        """Draw colours, different ones except in hard scenes."""
        if self.hard:
            return [self.what.pick(_COLOURS) for _ in range(count)]
        return self.what.sample(_COLOURS, count)

    def thing(
        self,
        noun: str,
        picture: str,
        point: layouts.Point,
        side: float,
        *,
        colour: str | None,
        size: str | None = None,
        most_turned: float = 10,
    ) -> Thing:
        """Return a thing in a random pose, moved into the picture where it would stick out."""
        x, y = (min(max(value, side / 2 + 0.01), 0.99 - side / 2) for value in point)
        flip, angle = self.where.chance(0.5), self.where.uniform(-most_turned, most_turned)
        return Thing(noun, picture, colour, size, round(x, 4), round(y, 4), round(side, 4), flip, round(angle, 1))

    def picture(self, noun: str) -> str:
        """Draw one of the pictures of a noun."""
        return self.what.pick(NOUNS[noun].pictures)


def _one(order: Order) -> list[Thing]:
    """One object in its own colours, large."""
    noun = order.nouns(1)[0]
    side = order.where.uniform(0.5, 0.8)
    point = (order.where.uniform(0.3, 0.7), order.where.uniform(0.3, 0.7))
    return [order.thing(noun, order.picture(noun), point, side, colour=None)]


def _count(order: Order) -> list[Thing]:
    """Two to nine objects of one kind in their own colours."""
    noun, number = order.nouns(1)[0], order.what.pick(COUNTS)
    points, side = layouts.cells(order.where, number)
    picture = order.picture(noun)
    return [order.thing(noun, picture, point, side, colour=None) for point in points]


def _pair(order: Order) -> list[Thing]:
    """Two objects with size and colour; the left or upper one first."""
    points = layouts.two_sides(order.where, horizontal=order.what.chance(0.5))
    return _sized(order, points)


def _corner(order: Order) -> list[Thing]:
    """Three objects: one in a corner, its neighbour to the side, its neighbour above or below."""
    points = layouts.corner(order.where, right=order.what.chance(0.5), below=order.what.chance(0.5))
    return _sized(order, points)


def _row(order: Order) -> list[Thing]:
    """Three or four objects with colours, from left to right or from top to bottom."""
    count, horizontal = order.what.integer(3, 4), order.what.chance(0.5)
    points = layouts.row(order.where, count, horizontal=horizontal)
    nouns, colours = order.nouns(count), order.colours(count)
    return [
        order.thing(noun, order.picture(noun), point, order.where.uniform(0.72, 0.84) / count, colour=colour)
        for noun, colour, point in zip(nouns, colours, points, strict=True)
    ]


def _tally(order: Order) -> list[Thing]:
    """Two or three kinds, each with a colour and a number; the most numerous first."""
    kinds = 3 if order.what.chance(0.3) else 2
    one_noun = not order.hard and order.choice.part != "new_pairs" and kinds == 2 and order.what.chance(0.4)
    nouns = order.nouns(1) * 2 if one_noun else order.nouns(kinds)
    colours = order.what.sample(_COLOURS, kinds)
    if order.hard and order.what.chance(0.5):
        colours = colours[:1] * kinds
    numbers = order.what.pick(_falling_numbers(kinds, 12 if order.hard else 10))
    points, side = layouts.cells(order.where, sum(numbers))
    rest = iter(points)
    things = []
    for noun, colour, number in zip(nouns, colours, numbers, strict=True):
        picture = order.picture(noun)
        things += [order.thing(noun, picture, next(rest), side, colour=colour) for _ in range(number)]
    return things


def _rank(order: Order) -> list[Thing]:
    """Three or four of one kind from biggest to smallest, each in its own colour; if hard, two look-alikes too."""
    count = order.what.integer(3, 4)
    nouns = order.nouns(2 if order.hard else 1)
    colours = order.what.sample(_COLOURS, count + 2)
    sides = layouts.graded(order.where, count, largest=0.34 if order.hard else 0.4, ratio=1.27 if order.hard else 1.34)
    if order.hard:
        sides += [order.where.uniform(0.16, 0.24) for _ in range(2)]
    points, factor = layouts.scatter(order.where, sides)
    named = [nouns[0]] * count + [nouns[-1]] * (len(sides) - count)
    pictures = {noun: order.picture(noun) for noun in nouns}
    # A turned thing is smaller than its square: here sizes are compared.
    return [
        order.thing(noun, pictures[noun], point, side * factor, colour=colour, most_turned=2)
        for noun, point, side, colour in zip(named, points, sides, colours, strict=False)
    ]


def _overlap(order: Order) -> list[Thing]:
    """One object in front of another, a third off to a side."""
    side = order.where.uniform(0.33, 0.37)
    points = layouts.overlapping(order.where, side, horizontal=order.what.chance(0.5), first_low=order.what.chance(0.5))
    nouns, colours = order.nouns(3), order.what.sample(_COLOURS, 3)
    return [
        order.thing(noun, order.picture(noun), point, side if number < 2 else side * 0.85, colour=colour)
        for number, (noun, colour, point) in enumerate(zip(nouns, colours, points, strict=True))
    ]


def _sized(order: Order, points: list[layouts.Point]) -> list[Thing]:
    """Put things with a size and a colour at these places."""
    nouns, colours = order.nouns(len(points)), order.colours(len(points))
    sizes = [order.what.pick(tuple(_SIZES)) for _ in points]
    return [
        order.thing(noun, order.picture(noun), point, order.where.uniform(*_SIZES[size]), colour=colour, size=size)
        for noun, colour, size, point in zip(nouns, colours, sizes, points, strict=True)
    ]


@cache
def _falling_numbers(kinds: int, most: int) -> list[tuple[int, ...]]:
    """Return every choice of different numbers from 2 to 8, the largest first, that add up to at most `most`."""
    return [numbers for numbers in combinations(range(8, 1, -1), kinds) if sum(numbers) <= most]


_BUILDERS: dict[Family, Callable[[Order], list[Thing]]] = {
    "one": _one,
    "count": _count,
    "pair": _pair,
    "corner": _corner,
    "row": _row,
    "tally": _tally,
    "rank": _rank,
    "overlap": _overlap,
}

FAMILIES: dict[int, tuple[Family, ...]] = {
    1: ("one",),
    2: ("count",),
    3: ("pair",),
    4: ("corner", "row", "tally", "rank"),
    5: ("corner", "row", "tally", "rank", "overlap"),
}
"""The families of each level. Level 5 adds look-alikes, clutter and things in front of others to those of level 4."""


def scene_of(settings: CorpusSettings, split: Split, number: int, *, attempt: int = 0) -> Scene:
    """Return the scene of a row; another `attempt` gives the same words for another layout."""
    level = settings.level_of(number)
    what = Draws(CORPUS_VERSION, settings.seed, split, number, "what")
    where = Draws(CORPUS_VERSION, settings.seed, split, number, "where", attempt)
    part = part_of(split, number // len(settings.levels), pairs=level >= 3)
    # A single noun has no pair that could be new.
    families = [family for family in FAMILIES[level] if part != "new_pairs" or (level, family) != (4, "rank")]
    family = what.pick(families)
    hard = level == 5
    things = _BUILDERS[family](Order(what, where, Choice(split, part), hard))
    return Scene(split, part, level, family, tuple(things), what.pick(palettes_of(split)), hard)
