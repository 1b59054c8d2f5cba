"""Windows of a finished job are spread over its shards, and are stretches of consecutive rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.window_ranges import window_ranges
from pipeline.intervals import length


def test_stretches_are_spread_and_cross_from_one_shard_to_the_next() -> None:
    totals = {"000000-a": 100, "000001-b": 0, "000002-c": 50, "000003-d": 250}
    assert window_ranges(totals, 4, images=60) == {
        "000000-a": ((0, 60),),
        "000002-c": ((0, 50),),
        "000003-d": ((0, 10), (50, 110), (150, 210)),
    }


@given(st.lists(st.integers(0, 300), max_size=8), st.integers(0, 7), st.integers(1, 200))
def test_so_many_rows_as_there_are_and_none_twice(rows: list[int], windows: int, images: int) -> None:
    totals = {f"{n:06d}-a": count for n, count in enumerate(rows)}
    found = window_ranges(totals, windows, images=images)
    wanted = windows * min(images, sum(rows) // windows) if windows else 0
    assert sum(length(ranges) for ranges in found.values()) == wanted
    for shard_id, ranges in found.items():
        assert all(0 <= start < stop <= totals[shard_id] for start, stop in ranges)
