"""Ranges behave like the sets of numbers they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import Ranges, contains, intersect, is_canonical, length, merge, of_numbers, subtract

_NUMBERS = st.frozensets(st.integers(0, 40))


def _set(ranges: Ranges) -> set[int]:
    return {number for start, stop in ranges for number in range(start, stop)}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_merge(ranges: list[tuple[int, int]]) -> None:
    merged = merge(ranges)
    assert is_canonical(merged)
    assert _set(merged) == _set(tuple(ranges))
    assert length(merged) == len(_set(merged))


@given(_NUMBERS, _NUMBERS)
def test_algebra(left: frozenset[int], right: frozenset[int]) -> None:
    a, b = of_numbers(left), of_numbers(right)
    assert is_canonical(a)
    assert _set(a) == left
    assert _set(intersect(a, b)) == left & right
    assert _set(subtract(a, b)) == left - right
    assert is_canonical(intersect(a, b))
    assert is_canonical(subtract(a, b))
    assert [contains(a, number) for number in range(42)] == [number in left for number in range(42)]


def test_ranges_that_are_not_canonical() -> None:
    assert is_canonical(())
    assert is_canonical(((0, 2), (3, 4)))
    for ranges in (((-1, 2),), ((2, 2),), ((0, 2), (2, 3)), ((3, 4), (0, 2))):
        assert not is_canonical(ranges)
