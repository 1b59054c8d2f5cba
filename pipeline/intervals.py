"""Sets of row numbers as sorted, disjoint, non-touching half-open ranges [start, stop)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

Range = tuple[int, int]
Ranges = tuple[Range, ...]


def merge(ranges: Iterable[Range]) -> Ranges:
    """Return the union of `ranges`, which may overlap and come in any order."""
    merged: list[Range] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return tuple(merged)


def of_numbers(numbers: Iterable[int]) -> Ranges:
    """Return the ranges that hold exactly `numbers`."""
    return merge((number, number + 1) for number in numbers)


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """Return what lies in both."""
    common: list[Range] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, stop = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < stop:
            common.append((start, stop))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(common)


def subtract(left: Ranges, right: Ranges) -> Ranges:
    """Return what lies in `left` and not in `right`."""
    rest: list[Range] = []
    j = 0
    for first, stop in left:
        start = first
        while j < len(right) and right[j][1] <= start:
            j += 1
        k = j
        while k < len(right) and right[k][0] < stop:
            if start < right[k][0]:
                rest.append((start, right[k][0]))
            start = max(start, right[k][1])
            k += 1
        if start < stop:
            rest.append((start, stop))
    return tuple(rest)


def length(ranges: Iterable[Range]) -> int:
    """Return how many numbers disjoint `ranges` hold."""
    return sum(stop - start for start, stop in ranges)


def is_canonical(ranges: Ranges) -> bool:
    """Return whether `ranges` are non-negative, non-empty, sorted, disjoint and do not touch."""
    return all(0 <= start < stop for start, stop in ranges) and all(a[1] < b[0] for a, b in pairwise(ranges))


def contains(ranges: Ranges, number: int) -> bool:
    """Return whether `number` lies in one of `ranges`."""
    return any(start <= number < stop for start, stop in ranges)
