"""Reading ahead: in order, nothing lost, bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.read_ahead import read_ahead


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 50))), st.integers(1, 5), st.integers(1, 100))
def test_every_item_comes_once_in_order(items: list[int | None], at_a_time: int, max_bytes: int) -> None:
    pairs = read_ahead(items, str, at_a_time=at_a_time, max_bytes=max_bytes, size_of=lambda item: item or 0)
    assert list(pairs) == [(item, str(item)) for item in items]


def test_no_more_than_the_limits_are_in_hand() -> None:
    lock, in_hand, most, fetched = threading.Lock(), 0, 0, 0

    def items() -> Iterator[int]:
        nonlocal in_hand, most
        for number in range(40):
            with lock:
                in_hand += 1
                most = max(most, in_hand)
            yield number

    def fetch(number: int) -> int:
        nonlocal fetched
        time.sleep(0.001)
        with lock:
            fetched += 1
        return number

    for _ in read_ahead(items(), fetch, at_a_time=10, max_bytes=30, size_of=lambda _: 10):
        with lock:
            in_hand -= 1
    assert fetched == 40
    assert 2 <= most <= 4, "three of ten bytes each, and the one that does not fit"


def test_an_error_comes_at_its_turn_and_giving_up_stops_the_rest() -> None:
    started: list[int] = []

    def fetch(number: int) -> int:
        started.append(number)
        if number == 3:
            raise KeyError(number)
        return number

    results = read_ahead(range(1000), fetch, at_a_time=4, max_bytes=100, size_of=lambda _: 1)
    assert [next(results)[1] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(results)
    assert max(started) < 10
