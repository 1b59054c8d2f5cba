"""Where things go: centres in a unit square, such that what is said of their places is plain to see."""

from __future__ import annotations

from collections.abc import Sequence

from mue_model.corpus.draws import Draws

Point = tuple[float, float]


def two_sides(where: Draws, *, horizontal: bool) -> list[Point]:
    """Return two centres, the left or upper one first."""
    ends = [(where.uniform(0.23, 0.29), where.uniform(0.4, 0.6)), (where.uniform(0.71, 0.77), where.uniform(0.4, 0.6))]
    return ends if horizontal else [(y, x) for x, y in ends]


def corner(where: Draws, *, right: bool, below: bool) -> list[Point]:
    """Return three centres: one in the corner that is named, one beside it, one above or below it."""
    x, y = (0.74 if right else 0.26), (0.74 if below else 0.26)
    return [(_near(where, a), _near(where, b)) for a, b in ((x, y), (1 - x, y), (x, 1 - y))]


def row(where: Draws, count: int, *, horizontal: bool) -> list[Point]:
    """Return centres from left to right, or from top to bottom, at even steps; across they vary."""
    along = [(number + 0.5) / count + where.uniform(-0.02, 0.02) for number in range(count)]
    points = [(step, where.uniform(0.4, 0.6)) for step in along]
    return points if horizontal else [(y, x) for x, y in points]


def cells(where: Draws, count: int) -> tuple[list[Point], float]:
    """Return centres of things that do not touch, and the side they may have; at most 16."""
    per_side = 3 if count <= 6 else 4
    cell = 1 / per_side
    side = cell * where.uniform(0.76, 0.86)
    slack = (cell - side) / 2
    chosen = where.sample(range(per_side * per_side), count)
    return [
        (
            (number % per_side + 0.5) * cell + where.uniform(-slack, slack),
            (number // per_side + 0.5) * cell + where.uniform(-slack, slack),
        )
        for number in chosen
    ], side


def scatter(where: Draws, sides: Sequence[float]) -> tuple[list[Point], float]:
    """Return centres of squares with these sides that do not overlap, and the factor by which all had to shrink."""
    factor = 1.0
    while True:
        for _ in range(20):
            if points := _scattered(where, [side * factor for side in sides]):
                return points, factor
        factor *= 0.95


def overlapping(where: Draws, side: float, *, horizontal: bool, first_low: bool) -> list[Point]:
    """Return three centres: a front one, one half behind it, and one clearly off to a side of both.

    `first_low`: the two are left of, or above, the third.
    """
    across = where.uniform(0.35, 0.75) * side * (1 if where.chance(0.5) else -1)
    along = where.uniform(-0.3, 0.3) * side
    middle, other = (0.27, 0.78) if first_low else (0.73, 0.22)
    cross = where.uniform(0.46, 0.54)
    points = [
        (middle + along / 2, cross + across / 2),
        (middle - along / 2, cross - across / 2),
        (other, where.uniform(0.45, 0.55)),
    ]
    return points if horizontal else [(y, x) for x, y in points]


def graded(where: Draws, count: int, *, largest: float, ratio: float) -> list[float]:
    """Return sides in falling order, each at least `ratio` times the next."""
    sides = [largest * where.uniform(0.95, 1.0)]
    for _ in range(count - 1):
        sides.append(sides[-1] / (ratio * where.uniform(1.0, 1.05)))
    return sides


def _near(where: Draws, centre: float) -> float:
    return centre + where.uniform(-0.03, 0.03)


def _scattered(where: Draws, sides: Sequence[float]) -> list[Point]:
    placed: list[tuple[float, float, float]] = []
    for side in sides:
        for _ in range(30):
            x, y = where.uniform(side / 2, 1 - side / 2), where.uniform(side / 2, 1 - side / 2)
            if all(max(abs(x - a), abs(y - b)) >= (side + other) / 2 for a, b, other in placed):
                placed.append((x, y, side))
                break
        else:
            return []
    return [(x, y) for x, y, _ in placed]
