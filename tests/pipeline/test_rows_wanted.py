"""Which rows are still to be done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.rows_wanted import BEYOND, RowsWanted

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


@given(RANGES, st.lists(st.integers(0, 40)))
def test_all_but_the_ranges_in_any_order_of_asking(skip: list[tuple[int, int]], rows: list[int]) -> None:
    wanted = RowsWanted(skip)
    assert [wanted.has(row) for row in rows] == [not any(start <= row < stop for start, stop in skip) for row in rows]


@given(RANGES, st.integers(0, 30))
def test_over_is_what_has_nothing_wanted_behind_it(skip: list[tuple[int, int]], last: int) -> None:
    wanted, open_ended = RowsWanted(skip), RowsWanted([*skip, (last, BEYOND)])
    assert not any(wanted.all_over(row) for row in range(40)), "more rows may always come"
    for row in range(40):
        assert open_ended.all_over(row) == (not any(open_ended.has(later) for later in range(row, 40)))
