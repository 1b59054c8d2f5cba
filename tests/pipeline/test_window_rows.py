"""Windows hold consecutive rows, enough of them, and are spread over what a process gets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mue_model.rows import RowInput
from pipeline.window_rows import WindowCollector, WindowRows

PIXELS = np.zeros((16, 16, 3), np.uint8)


def rows(start: int, count: int) -> list[RowInput]:
    return [
        RowInput(uid=str(n), pixels=PIXELS, prompt_ids=(0, 2), image_key=f"image {n}")
        for n in range(start, start + count)
    ]


def collected(collector: WindowCollector, calls: list[int]) -> list[tuple[int, WindowRows]]:
    """The windows, each with the rows seen when it was due."""
    found, seen = [], 0
    for count in calls:
        window = collector.take(rows(seen, count))
        seen += count
        if window is not None:
            found.append((seen, window))
    return found


@given(
    st.integers(1, 6), st.integers(1, 50), st.none() | st.integers(1, 2000), st.lists(st.integers(1, 40), max_size=60)
)
def test_rows_are_consecutive_and_windows_are_numbered_and_do_not_overlap(
    windows: int, wanted: int, expected: int | None, calls: list[int]
) -> None:
    found = [window for _, window in collected(WindowCollector(windows, wanted=wanted, expected=expected), calls)]
    assert [window.number for window in found] == list(range(len(found)))
    assert len(found) <= windows
    last = -1
    for window in found:
        numbers = [int(row.uid) for row in window.rows[: window.distinct]]
        assert numbers == list(range(numbers[0], numbers[0] + window.distinct))
        assert len(window.rows) >= wanted
        assert numbers[0] > last
        last = numbers[-1]


def test_with_rows_to_expect_windows_are_spread_over_them() -> None:
    found = collected(WindowCollector(4, wanted=50, expected=1000), [10] * 100)
    assert [seen for seen, _ in found] == [50, 270, 500, 720]  # parts of 225 rows: a tenth is left for rows that fail


def test_without_they_come_further_and_further_apart() -> None:
    found = collected(WindowCollector(4, wanted=50, expected=None), [10] * 100)
    assert [seen for seen, _ in found] == [50, 100, 200, 400]


def test_a_small_job_s_rows_are_repeated_and_none_shares_with_its_copy() -> None:
    [(_, window), *_] = collected(WindowCollector(2, wanted=50, expected=40), [20, 20])
    assert (window.distinct, len(window.rows)) == (20, 50)
    assert len({row.image_key for row in window.rows}) == 50
    assert [row.uid for row in window.rows[:20]] == [row.uid for row in window.rows[20:40]]


def test_a_job_that_fails_a_few_rows_gets_all_of_its_windows() -> None:
    assert len(collected(WindowCollector(4, wanted=5000, expected=1000), [10] * 95)) == 4
