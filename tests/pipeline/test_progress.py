"""Progress: computed from receipts alone, whatever their order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import Ranges, of_numbers
from pipeline.plan import Plan
from pipeline.progress import Overlap, ShardProgress, overlaps_of, progress_of
from pipeline.receipts import LedgerError, Part, Receipt, ShardOutcome
from pipeline.records import ShardCode, ShardState

A, B, C = "000000-a", "000001-b", "000002-c"


def _receipt(
    name: str, ranges: dict[str, Ranges], totals: dict[str, int] | None = None, state: ShardState = ShardState.DONE
) -> Receipt:
    code = ShardCode.TRUNCATED if state is ShardState.BAD else None
    return Receipt(
        id=name,
        attempt="a",
        part=Part(path=f"data/{name}.parquet", rows=1, bytes=1, sha256="0") if ranges else None,
        ranges=ranges,
        totals=totals or {},
        shards={shard: ShardOutcome(state=state, code=code) for shard in totals or {}},
    )


def test_finished_means_total_known_and_tiled(make_plan: Callable[..., Plan]) -> None:
    progress = progress_of(
        [
            _receipt("0", {A: ((3, 5),)}, {A: 5}),
            _receipt("1", {A: ((0, 3),), B: ((0, 2), (4, 6))}),
            _receipt("2", {}, {C: 0}),
        ]
    )
    assert progress.shards[A] == ShardProgress(((0, 5),), 5, ShardOutcome(state=ShardState.DONE))
    assert progress.of(C).finished, "an empty shard has nothing to do"
    assert progress.rows_committed == 9
    assert progress.unfinished(make_plan(A, B, C, "000003-d")) == {B: [(0, 2), (4, 6)], "000003-d": []}


def test_an_image_is_in_place_once_and_has_a_row_for_each_query() -> None:
    def receipt(name: str, ranges: Ranges, rows: int, failed: int) -> Receipt:
        part = Part(path=f"data/{name}.parquet", rows=rows, failed=failed, bytes=1, sha256="0")
        return _receipt(name, {A: ranges}).model_copy(update={"part": part})

    first, second = receipt("0", ((0, 4),), 10, 3), receipt("1", ((4, 6),), 8, 0)
    progress = progress_of([first, second])
    assert (progress.images_committed, progress.rows_committed, progress.rows_failed) == (6, 18, 3)
    rival = receipt("2", ((0, 4),), 10, 3)
    assert progress_of([first, rival]).rows_committed == 10, "rows that two parts hold count once"
    assert progress_of([]).rows_committed == 0


def test_gaps_and_excess() -> None:
    shard = ShardProgress(((1, 3), (4, 9)), 7)
    assert (shard.gaps, shard.excess, shard.finished) == (((0, 1), (3, 4)), ((7, 9),), False)
    assert not ShardProgress(((0, 9),), 7).finished, "rows beyond the end are no tiling"
    assert not ShardProgress(((0, 7),), None).finished


def test_an_intact_reading_beats_a_bad_one_and_of_bad_ones_the_longest_counts() -> None:
    short = _receipt("0", {}, {A: 3}, ShardState.BAD)
    longer = _receipt("1", {}, {A: 5}, ShardState.BAD)
    intact = _receipt("2", {}, {A: 4})
    assert progress_of([longer, short]).of(A).total == 5
    for receipts in ([short, longer, intact], [intact, longer, short]):
        assert (progress_of(receipts).of(A).total, progress_of(receipts).of(A).outcome) == (4, intact.shards[A])


def test_two_intact_readings_must_agree() -> None:
    with pytest.raises(LedgerError, match=r"000000-a .* different totals: 4 rows \(done/0\.json\), 5 rows \(done/1"):
        progress_of([_receipt("0", {}, {A: 4}), _receipt("1", {}, {A: 5})])


def test_names_keeper_and_loser() -> None:
    receipts = [
        _receipt("a", {A: ((0, 4),)}),
        _receipt("b", {A: ((2, 6),), B: ((0, 1),)}),
        _receipt("c", {A: ((3, 5),)}),
    ]
    assert (
        overlaps_of(receipts)
        == overlaps_of(receipts[::-1])
        == [
            Overlap(A, ((2, 4),), "a", "b"),
            Overlap(A, ((3, 4),), "a", "c"),
            Overlap(A, ((4, 5),), "b", "c"),
        ]
    )
    assert overlaps_of(receipts[:1]) == []


@given(st.lists(st.frozensets(st.integers(0, 30), min_size=1), max_size=8))
def test_overlaps_are_exactly_the_rows_beyond_their_first_holder(holders: list[frozenset[int]]) -> None:
    receipts = [_receipt(f"{index}", {A: of_numbers(rows)}) for index, rows in enumerate(holders)]
    lost: dict[str, set[int]] = {}
    for overlap in overlaps_of(receipts):
        numbers = {number for start, stop in overlap.rows for number in range(start, stop)}
        assert numbers <= holders[int(overlap.keeper)] & holders[int(overlap.loser)]
        assert not numbers & lost.setdefault(overlap.loser, set()), "each lost row has one keeper"
        lost[overlap.loser] |= numbers
    seen: set[int] = set()
    for index, rows in enumerate(holders):
        assert lost.get(f"{index}", set()) == rows & seen
        seen |= rows
    assert progress_of(receipts).rows_committed == len(seen)
