"""The two writes of a commit: repeated calls change nothing, and no data file is ever changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.canonical_json import digest_of
from pipeline.interrupting_folder import Killed, interrupting
from pipeline.ledger import Ledger
from pipeline.receipts import LedgerError, Receipt
from pipeline.storage import Storage

Make = Callable[..., pa.Table]
A = "000000-a"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "out"))


def _commit(storage: Storage, table: pa.Table, name: str = "a-0-0") -> Receipt:
    return Ledger(storage).commit(table, name=name, attempt="a", fingerprint="f")


def test_writes_part_and_receipt_under_one_name(storage: Storage, make_table: Make) -> None:
    receipt = _commit(storage, make_table({A: [0, 1]}, {A: 2}))
    assert storage.list("data") == ["data/a-0-0.parquet"]
    assert storage.list("done") == ["done/a-0-0.json"]
    assert receipt.part is not None
    data = storage.read(receipt.part.path)
    assert (receipt.part.rows, receipt.part.bytes, receipt.part.sha256) == (2, len(data), digest_of(data))
    assert storage.read("done/a-0-0.json") == receipt.to_json()


def test_failed_rows_are_counted(storage: Storage, make_table: Make) -> None:
    table = make_table({A: range(5)}, failed=(1, 3))
    Ledger(storage).commit(table, name="b", attempt="b", fingerprint="f")
    assert Ledger(storage).progress().rows_failed == 2
    receipt = _commit(storage, make_table({A: [3]}, failed=(3,)), name="a")
    assert receipt.part is not None
    assert receipt.part.failed == 1
    Ledger(storage).repair()
    assert Ledger(storage).progress().rows_failed == 2, "a repaired part is counted anew"


def test_no_rows_give_a_receipt_without_a_part(storage: Storage, make_table: Make) -> None:
    receipt = _commit(storage, make_table({}, {A: 0}))
    assert (receipt.part, receipt.ranges, receipt.totals) == (None, {}, {A: 0})
    assert storage.list("data") == []


def test_a_repeated_commit_changes_nothing(
    storage: Storage, make_table: Make, live_texts: Callable[[Ledger], list[tuple[str, str]]]
) -> None:
    first = _commit(storage, make_table({A: [0, 1]}, {A: 2}))
    # The retried task may differ in timings, actor and even text; the first to be committed counts.
    assert _commit(storage, make_table({A: [1, 0]}, {A: 2}, by="retry")) == first
    assert live_texts(Ledger(storage)) == [(f"{A}/0/0", f"{A}/0/0 by a"), (f"{A}/1/0", f"{A}/1/0 by a")]
    assert storage.list("data") == ["data/a-0-0.parquet"]


def test_a_name_stands_for_one_set_of_rows(storage: Storage, make_table: Make) -> None:
    _commit(storage, make_table({A: [0, 1]}, {A: 2}))
    for other in (
        make_table({A: [0]}, {A: 2}),
        make_table({A: [0, 2]}, {A: 2}),
        make_table({A: [0, 1]}, {A: 3}),
        make_table({A: [0, 1]}),
        make_table({A: [0, 1]}, {A: 2}, queries=2),
    ):
        with pytest.raises(LedgerError, match=r"done/a-0-0\.json was committed before with other rows"):
            _commit(storage, other)
    assert storage.list("data") == ["data/a-0-0.parquet"]


def test_a_dead_attempts_leftover_is_used_or_left_alone(
    storage: Storage, make_table: Make, live_texts: Callable[[Ledger], list[tuple[str, str]]]
) -> None:
    with pytest.raises(Killed):
        _commit(interrupting(storage, at=1, moment="before"), make_table({A: [0]}))
    leftover = storage.read("data/a-0-0.parquet")
    assert Ledger(storage).receipts() == [], "without a receipt nothing is committed"
    receipt = _commit(storage, make_table({A: [0]}, by="again"))
    # It may be the part of a rival who is about to write the receipt, so it must not be touched.
    assert storage.read("data/a-0-0.parquet") == leftover
    assert receipt.part is not None
    assert receipt.part.path == f"data/a-0-0-{receipt.part.sha256[:12]}.parquet"
    assert live_texts(Ledger(storage)) == [(f"{A}/0/0", f"{A}/0/0 by again")]
    with pytest.raises(Killed):
        _commit(interrupting(storage, at=1, moment="before"), make_table({A: [1]}), name="a-0-1")
    receipt = _commit(storage, make_table({A: [1]}), name="a-0-1")
    assert receipt.part is not None
    assert receipt.part.path == "data/a-0-1.parquet"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "-a"])
def test_refuses_names_that_are_no_file_names(storage: Storage, make_table: Make, name: str) -> None:
    with pytest.raises(LedgerError, match="cannot name a part"):
        _commit(storage, make_table({A: [0]}), name=name)
