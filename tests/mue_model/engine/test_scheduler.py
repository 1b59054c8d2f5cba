"""The scheduler on drawn schedules: every row runs, groups are full while they can be, nobody waits for ever."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.engine.scheduler import Scheduler, Stage, rows_for_full_groups


def stage(place: int, lane: int = 0, region: int = 0) -> Stage:
    return Stage(region, place, lane)


def opened(*sizes: int) -> Scheduler:
    scheduler = Scheduler()
    for place, size in enumerate(sizes):
        scheduler.open(stage(place), size)
    return scheduler


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    depths=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=60),
    width=st.integers(1, 30),
)
def test_every_row_passes_its_stages_in_order_and_exactly_once(
    sizes: list[int], depths: list[list[int]], width: int
) -> None:
    """A row loops: each of its tokens starts at the first stage again and leaves at its own."""
    scheduler, waiting = opened(*sizes), list(range(len(depths)))
    passed: dict[int, list[int]] = {row: [] for row in waiting}
    token = dict.fromkeys(waiting, 0)
    inside: set[int] = set()
    while waiting or inside:
        while waiting and len(inside) < width:
            row = waiting.pop(0)
            inside.add(row)
            scheduler.push(stage(0), [row])
        group = scheduler.next_group(held_back=bool(waiting))
        assert group is not None, "rows wait and nothing runs"
        where, rows = group
        assert 0 < len(rows) <= sizes[where.place]
        for row in rows:
            passed[row].append(where.place)
            if where.place + 1 < min(depths[row][token[row]], len(sizes)):
                scheduler.push(stage(where.place + 1), [row])
                continue
            token[row] += 1
            if token[row] < len(depths[row]):
                scheduler.push(stage(0), [row])
            else:
                inside.discard(row)
    assert scheduler.next_group() is None
    for row, tokens in enumerate(depths):
        assert passed[row] == [place for depth in tokens for place in range(min(depth, len(sizes)))]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    steps=st.lists(st.integers(0, 100), min_size=20, max_size=80),
)
def test_with_w_rows_in_flight_every_group_is_full(sizes: list[int], steps: list[int]) -> None:
    scheduler = opened(*sizes)
    scheduler.push(stage(0), range(rows_for_full_groups(sizes)))
    for step in steps:
        where, rows = scheduler.next_group() or (stage(0), [])
        assert len(rows) == sizes[where.place]
        for number, row in enumerate(rows):  # each goes on anywhere, back to the start included
            scheduler.push(stage((step * (number + 3) + where.place) % len(sizes)), [row])


def test_one_row_less_than_w_may_leave_no_full_group() -> None:
    scheduler = opened(3, 4)
    scheduler.push(stage(0), [0, 1])
    scheduler.push(stage(1), [2, 3, 4])
    assert rows_for_full_groups([3, 4]) == 6
    _, rows = scheduler.next_group() or (None, [])
    assert len(rows) == 2


def test_of_full_groups_the_last_stage_comes_first_and_in_it_who_waited_longest() -> None:
    scheduler = opened(2, 2, 2)
    scheduler.push(stage(1), [5, 4, 3])
    scheduler.push(stage(0), [1, 2])
    assert scheduler.next_group() == (stage(1), [5, 4])
    assert scheduler.next_group() == (stage(0), [1, 2])


def test_without_a_full_group_the_earliest_stage_runs_unless_rows_are_held_back() -> None:
    for held_back, expected in ((False, stage(0)), (True, stage(1))):
        scheduler = opened(4, 4)
        scheduler.push(stage(0), [0])
        scheduler.push(stage(1), [1, 2])
        where, _ = scheduler.next_group(held_back=held_back) or (None, [])
        assert where == expected


def test_lanes_do_not_share_a_group() -> None:
    scheduler = Scheduler()
    for lane in (0, 1):
        scheduler.open(stage(0, lane), 4)
        scheduler.push(stage(0, lane), [lane, 10 + lane])
    groups = [scheduler.next_group(), scheduler.next_group()]
    assert sorted(rows for _, rows in filter(None, groups)) == [[0, 10], [1, 11]]


def test_a_lone_row_is_not_passed_over_for_ever() -> None:
    scheduler = Scheduler(patience=10)
    scheduler.open(stage(0), 2)
    scheduler.open(stage(0, lane=1), 2)
    scheduler.push(stage(0, lane=1), [99])
    for turn in range(12):
        scheduler.push(stage(0), [0, 1])
        _, rows = scheduler.next_group() or (stage(0), [])
        if rows == [99]:
            assert turn == 10
            return
    pytest.fail("full groups went first all the time")


def test_a_smaller_group_size_holds_from_then_on() -> None:
    scheduler = opened(4)
    scheduler.push(stage(0), range(4))
    scheduler.open(stage(0), 3)
    assert scheduler.next_group() == (stage(0), [0, 1, 2])
    with pytest.raises(ValueError, match="at least 1"):
        scheduler.open(stage(0), 0)


def test_runs_tell_how_full_groups_were() -> None:
    scheduler = opened(4)
    scheduler.push(stage(0), range(6))
    while scheduler.next_group():
        pass
    assert scheduler.runs() == {stage(0): (2, 6, 8)}
    assert Counter(scheduler.waiting()) == Counter()


def test_it_needs_no_torch() -> None:
    code = "import sys, mue_model.engine.scheduler; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
