from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from mue_model.corpus import layouts
from mue_model.corpus.draws import Draws


def test_cells_leave_things_apart_and_inside() -> None:
    for count in range(2, 13):
        points, side = layouts.cells(Draws("cells", count), count)
        assert len(points) == count
        assert side > 0.18
        for (x, y), (a, b) in combinations(points, 2):
            assert max(abs(x - a), abs(y - b)) >= side - 1e-9
        assert all(side / 2 <= value <= 1 - side / 2 for point in points for value in point)


def test_scattered_squares_do_not_overlap() -> None:
    for number in range(50):
        sides = [*layouts.graded(Draws("sides", number), 4, largest=0.4, ratio=1.34), 0.24, 0.24]
        points, factor = layouts.scatter(Draws("scatter", number), sides)
        assert factor > 0.6
        for (one, first), (other, second) in combinations(zip(points, sides, strict=True), 2):
            distance = max(abs(one[0] - other[0]), abs(one[1] - other[1]))
            assert distance >= factor * (first + second) / 2 - 1e-9


def test_graded_sides_differ_by_the_ratio() -> None:
    sides = layouts.graded(Draws("graded"), 4, largest=0.4, ratio=1.3)
    assert all(big > 1.29 * small for big, small in pairwise(sides))


@pytest.mark.parametrize("horizontal", [True, False])
def test_two_sides_row_and_overlap_run_along_their_axis(horizontal: bool) -> None:
    axis = 0 if horizontal else 1
    for number in range(30):
        where = Draws("axis", number)
        for points in (
            layouts.two_sides(where, horizontal=horizontal),
            layouts.row(where, 4, horizontal=horizontal),
        ):
            along = [point[axis] for point in points]
            across = [point[1 - axis] for point in points]
            assert along == sorted(along)
            assert min(b - a for a, b in pairwise(along)) > 0.2
            assert max(across) - min(across) <= 0.2
        front, back, third = layouts.overlapping(where, 0.35, horizontal=horizontal, first_low=True)
        assert max(front[axis], back[axis]) + 0.25 < third[axis]
        assert max(abs(front[0] - back[0]), abs(front[1] - back[1])) < 0.8 * 0.35


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("below", [True, False])
def test_corner_has_a_neighbour_on_each_axis(right: bool, below: bool) -> None:
    pivot, beside, stacked = layouts.corner(Draws("corner"), right=right, below=below)
    assert (pivot[0] > 0.5, pivot[1] > 0.5) == (right, below)
    assert (beside[0] > 0.5, beside[1] > 0.5) == (not right, below)
    assert (stacked[0] > 0.5, stacked[1] > 0.5) == (right, not below)
