"""New answers take the places of failed rows, and nothing else moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.interrupting_folder import Killed, interrupting
from pipeline.intervals import Ranges, contains, of_numbers
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.progress import overlaps_of
from pipeline.records import RowStatus
from pipeline.rewrite import PartRewriter, failed_rows, skip_all_but
from pipeline.storage import Storage

Make = Callable[..., pa.Table]
A, B = "000000-a", "000001-b"
FAILED = (1, 3)


@pytest.fixture
def ledger(tmp_path: Path, make_plan: Callable[..., Plan], make_table: Make) -> Ledger:
    """Two shards in three parts; rows 1 and 3 of each failed."""
    ledger = Ledger(Storage.open(str(tmp_path / "out")))
    ledger.adopt_plan(make_plan(A, B))
    for name, rows, totals in (
        ("p0", {A: range(3)}, {}),
        ("p1", {A: [3, 4], B: [0, 1]}, {A: 5}),
        ("p2", {B: [2, 3]}, {B: 4}),
    ):
        table = with_codes(make_table(rows, totals, by=name, failed=FAILED))
        ledger.commit(table, name=name, attempt="a1", fingerprint="f" * 64)
    return ledger


def with_codes(table: pa.Table) -> pa.Table:
    """Odd failures are the machine's, those of row 3 the image's."""
    codes = [
        {1: "out_of_memory", 3: "corrupt_image"}[row["row_in_shard"]] if row["status"] == "failed" else None
        for row in table.to_pylist()
    ]
    place = table.schema.get_field_index("error_code")
    return table.set_column(place, table.schema.field(place), pa.array(codes, pa.string()))


def rewriter(ledger: Ledger, *codes: str, attempt: str = "a2") -> PartRewriter:
    return PartRewriter(ledger, failed_rows(ledger, codes), attempt=attempt, fingerprint="f" * 64)


def rows_of(ledger: Ledger) -> dict[str, dict[str, Any]]:
    rows = [row for table in ledger.read_live() for row in table.to_pylist()]
    assert len({row["uid"] for row in rows}) == len(rows) == 9
    return {row["uid"]: row for row in rows}


def test_only_the_wanted_rows_change_and_have_one_attempt_more(ledger: Ledger, make_table: Make) -> None:
    before = rows_of(ledger)
    retry = rewriter(ledger, "out_of_memory")
    assert retry.open_rows() == {A: ((1, 2),), B: ((1, 2),)}
    assert retry.is_open(A, ((0, 5),))
    # Ray's blocks come in any order, with control rows, and may hold rows that nobody asked for.
    retry.take(make_table({B: [1, 3]}, {B: 4}, by="retry"))
    assert not retry.is_open(B, ((0, 4),))
    retry.take(make_table({A: [0, 1]}, by="retry"))
    retry.finish()

    after = rows_of(ledger)

    changed = {uid for uid in after if after[uid] != before[uid]}
    assert changed == {f"{A}/1/0", f"{B}/1/0"}
    for uid in changed:
        assert (after[uid]["text"], after[uid]["attempts"], after[uid]["attempt_id"]) == (f"{uid} by retry", 2, "retry")
    assert retry.done == {RowStatus.OK: 2, RowStatus.FAILED: 0, RowStatus.FILTERED: 0}
    assert ledger.progress().rows_failed == 2, "the permanent ones"
    assert ledger.finalize(ledger.plan()).rows == 9


def test_a_row_that_fails_again_says_so(ledger: Ledger, make_table: Make) -> None:
    retry = rewriter(ledger, "out_of_memory")
    retry.take(with_codes(make_table({A: [1], B: [1]}, by="retry", failed=FAILED)))
    again = rewriter(ledger, "out_of_memory", attempt="a3")
    again.take(with_codes(make_table({A: [1], B: [1]}, by="again", failed=FAILED)))
    assert {rows_of(ledger)[f"{shard}/1/0"]["attempts"] for shard in (A, B)} == {3}
    assert ledger.progress().rows_failed == 4


def test_what_did_not_come_stays_failed_and_open(ledger: Ledger, make_table: Make) -> None:
    retry = rewriter(ledger, "out_of_memory", "corrupt_image")
    retry.take(make_table({A: [3]}, by="retry"))  # of the same part as row 1 of B, which does not come
    retry.finish()
    rows = rows_of(ledger)
    assert (rows[f"{A}/3/0"]["status"], rows[f"{B}/1/0"]["status"]) == ("ok", "failed")
    assert retry.open_rows() == {A: ((1, 2),), B: ((1, 2), (3, 4))}


@pytest.mark.parametrize("moment", ["before", "torn", "after"])
@pytest.mark.parametrize("at", range(4))
def test_a_killed_retry_leaves_the_output_whole_and_can_be_repeated(
    ledger: Ledger, make_table: Make, at: int, moment: Any
) -> None:
    answers = make_table({A: [1], B: [1]}, by="retry")
    killed = Ledger(interrupting(ledger.storage, at=at, moment=moment))
    with pytest.raises(Killed):
        rewriter(killed, "out_of_memory").take(answers)
    assert len(rows_of(ledger)) == 9
    ledger.finalize(ledger.plan())

    again = rewriter(ledger, "out_of_memory", attempt="a3")
    again.take(answers)

    assert rewriter(ledger, "out_of_memory").open_rows() == {}
    assert {rows_of(ledger)[f"{shard}/1/0"]["text"] for shard in (A, B)} == {f"{A}/1/0 by retry", f"{B}/1/0 by retry"}


def test_of_two_retries_at_once_one_wins_each_part(ledger: Ledger, make_table: Make) -> None:
    one, other = (rewriter(ledger, "out_of_memory", attempt=name) for name in ("a2", "a3"))
    other.take(make_table({A: [1], B: [1]}, by="other"))
    one.take(make_table({A: [1], B: [1]}, by="one"))
    assert ledger.overlaps(), "both replaced the same parts"
    ledger.finalize(ledger.plan())
    assert {row["attempt_id"] for row in rows_of(ledger).values() if row["attempts"] == 2} == {"one"}


def test_a_listing_that_lacks_the_first_of_two_retries_misleads_nobody(ledger: Ledger, make_table: Make) -> None:
    """Object stores list in pages: one written before the first retry, the next one after the second."""
    for attempt in ("a2", "a3"):
        retry = rewriter(ledger, "out_of_memory", attempt=attempt)
        retry.take(with_codes(make_table({A: [1], B: [1]}, by=attempt, failed=FAILED)))
    seen = [receipt for receipt in ledger.receipts() if not receipt.id.startswith("a2")]
    assert len(seen) < len(ledger.receipts())

    assert overlaps_of(seen) == []


@given(st.frozensets(st.integers(0, 30), min_size=1))
def test_a_reader_that_skips_all_others_gives_the_wanted_rows(wanted: frozenset[int]) -> None:
    skipped: Ranges = skip_all_but(of_numbers(wanted))
    assert {row for row in range(100) if not contains(skipped, row)} == wanted
