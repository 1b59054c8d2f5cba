from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.bounded_map import bounded_map


def test_results_come_in_order_and_only_so_many_run_at_once() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def work(number: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.0005 * (number % 3))
        with lock:
            running[0] -= 1
        return number * number

    assert list(bounded_map(work, range(500), at_once=3)) == [number * number for number in range(500)]
    assert 1 < most[0] <= 3


def test_items_are_taken_as_they_are_needed() -> None:
    taken = [0]

    def numbers() -> Iterator[int]:
        for number in range(100_000):
            taken[0] += 1
            yield number

    results = bounded_map(lambda number: number, numbers(), at_once=2)
    assert [next(results) for _ in range(10)] == list(range(10))
    assert 10 <= taken[0] <= 1000


def test_an_error_comes_where_its_result_would() -> None:
    results = bounded_map(lambda number: 1 // number, [1, 0], at_once=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
