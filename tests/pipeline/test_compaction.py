"""Compaction: what was committed stays committed, byte for byte, whenever it stops and whoever else writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.canonical_json import digest_of
from pipeline.folders import Folder
from pipeline.interrupting_folder import Killed, interrupting
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.receipts import LedgerError
from pipeline.storage import Storage, StorageError

Make = Callable[..., pa.Table]
Texts = Callable[[Ledger], list[tuple[str, str]]]
A = "000000-a"
ROWS = 6


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Storage.open(str(tmp_path / "out")))


def _commit_rows(ledger: Ledger, make_table: Make, *, by: str = "a") -> None:
    """One receipt a row, the last with the shard's end."""
    for row in range(ROWS):
        table = make_table({A: [row]}, {A: ROWS} if row == ROWS - 1 else None, by=by)
        ledger.commit(table, name=f"{by}-{row}", attempt=by, fingerprint="f")


def _expected(by: str = "a") -> list[tuple[str, str]]:
    return [(f"{A}/{row}/0", f"{A}/{row}/0 by {by}") for row in range(ROWS)]


def test_receipts_move_into_one_file_and_stay_what_they_were(
    ledger: Ledger, make_table: Make, make_plan: Callable[..., Plan], live_texts: Texts
) -> None:
    plan = ledger.adopt_plan(make_plan(A))
    _commit_rows(ledger, make_table)
    before = ledger.receipts()
    own = [ledger.storage.read(path) for path in ledger.storage.list("done")]
    assert ledger.compact(at_least=ROWS + 1) == 0
    assert len(ledger.storage.list("done")) == ROWS, "too few to be worth it"

    assert ledger.compact(at_least=2) == ROWS

    assert ledger.storage.list("done") == []
    [path] = ledger.storage.list("done/compact")
    assert ledger.storage.read(path) == b"".join(own)
    assert path == f"done/compact/{digest_of(b''.join(own))}.jsonl"
    for reader in (ledger, Ledger(ledger.storage)):
        assert reader.receipts() == before
        assert live_texts(reader) == _expected()
    manifest = ledger.finalize(plan)
    assert [name for name in manifest.files if name.startswith("done/")] == [path]
    assert manifest.files[path].sha256 == path.removeprefix("done/compact/").removesuffix(".jsonl")
    assert ledger.finalized(plan)


def test_large_jobs_get_several_files(ledger: Ledger, make_table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.compaction._PER_FILE", 4)
    _commit_rows(ledger, make_table)
    before = ledger.receipts()
    assert ledger.compact(at_least=2) == ROWS
    assert [ledger.storage.read(path).count(b"\n") for path in ledger.storage.list("done/compact")] in ([4, 2], [2, 4])
    assert Ledger(ledger.storage).receipts() == before


def test_a_manifest_from_before_a_compaction_is_not_taken_for_the_end(
    ledger: Ledger, make_table: Make, make_plan: Callable[..., Plan]
) -> None:
    plan = ledger.adopt_plan(make_plan(A))
    assert not ledger.finalized(plan)
    _commit_rows(ledger, make_table)
    ledger.finalize(plan)
    assert ledger.finalized(plan)
    ledger.compact(at_least=2)
    assert not ledger.finalized(plan), "it names receipts that are gone"
    ledger.finalize(plan)
    assert ledger.finalized(plan)
    ledger.storage.delete(ledger.storage.list("done/compact")[0])
    assert not ledger.finalized(plan)


def test_a_name_that_was_compacted_still_stands_for_its_rows(
    ledger: Ledger, make_table: Make, live_texts: Texts
) -> None:
    _commit_rows(ledger, make_table)
    ledger.compact(at_least=2)
    # The retried task of a driver that does not know of the compaction: it may even create the name again.
    ledger.commit(make_table({A: [0]}, by="retry"), name="a-0", attempt="a", fingerprint="f")
    assert ledger.storage.list("done") == ["done/a-0.json"]
    for reader in (ledger, Ledger(ledger.storage)):
        assert live_texts(reader) == _expected(), "what was committed first counts"
        assert reader.overlaps() == []
    assert ledger.compact(at_least=2) == 0
    assert ledger.storage.list("done") == [], "what does not count is cleared away"
    assert live_texts(ledger) == _expected()


def test_repair_goes_on_over_compacted_receipts(ledger: Ledger, make_table: Make, live_texts: Texts) -> None:
    _commit_rows(ledger, make_table)
    ledger.commit(make_table({A: range(ROWS)}, by="b"), name="b-0", attempt="b", fingerprint="f")
    ledger.compact(at_least=2)
    assert [receipt.id for receipt in ledger.repair()] == ["b-0.r1"]
    ledger.compact(at_least=1)
    assert (ledger.repair(), live_texts(ledger)) == ([], _expected())


def test_a_receipt_that_was_laid_out_by_hand_keeps_its_file(ledger: Ledger, make_table: Make) -> None:
    _commit_rows(ledger, make_table)
    by_hand = ledger.storage.read("done/a-2.json").replace(b'"part":', b'"part": ')
    ledger.storage.write("done/a-2.json", by_hand)
    assert Ledger(ledger.storage).compact(at_least=2) == ROWS - 1
    assert ledger.storage.list("done") == ["done/a-2.json"]
    assert ledger.storage.read("done/a-2.json") == by_hand
    assert len(Ledger(ledger.storage).receipts()) == ROWS


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "disk-full"])
@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_a_failure_at_any_write_loses_nothing(
    tmp_path: Path,
    make_table: Make,
    make_plan: Callable[..., Plan],
    live_texts: Texts,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    killed: bool,
) -> None:
    monkeypatch.setattr("pipeline.compaction._PER_FILE", 4)
    plan, failures = make_plan(A), 0
    while True:
        ledger = Ledger(Storage.open(str(tmp_path / f"out{failures}")))
        ledger.adopt_plan(plan)
        _commit_rows(ledger, make_table)
        failing = Ledger(interrupting(ledger.storage, at=failures, moment=moment, killed=killed))  # type: ignore[arg-type]
        try:
            failing.compact(at_least=2)
        except (Killed, StorageError):
            failures += 1
        else:
            break
        for reader in (ledger, Ledger(ledger.storage)):
            assert live_texts(reader) == _expected()
            assert reader.overlaps() == []
        Ledger(ledger.storage).compact(at_least=2)
        assert live_texts(ledger) == _expected()
        assert len(ledger.finalize(plan).parts) == ROWS
    assert failures == 2 + ROWS, "every single write failed once"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-30], "is not the file that was written"),
        (lambda data: data.replace(b'"failed":0', b'"failed":1', 1), "is not the file that was written"),
        (lambda data: b"", "is not the file that was written"),
    ],
)
def test_a_damaged_file_is_named(
    ledger: Ledger, make_table: Make, damage: Callable[[bytes], bytes], message: str
) -> None:
    _commit_rows(ledger, make_table)
    ledger.compact(at_least=2)
    [path] = ledger.storage.list("done/compact")
    data = ledger.storage.read(path)
    assert damage(data) != data
    ledger.storage.write(path, damage(data))
    with pytest.raises(LedgerError, match=rf"{path} {message}.*computed again"):
        Ledger(ledger.storage).receipts()


class _Between:
    """Has something happen right after its n-th listing."""

    def __init__(self, inner: Folder, at: int, happens: Callable[[], object]) -> None:
        self.inner, self.left, self.happens = inner, at, happens

    def names(self, path: str) -> list[str]:
        found = self.inner.names(path)
        self.left -= 1
        if self.left == 0:
            self.happens()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_compaction_between_two_listings_hides_nothing(ledger: Ledger, make_table: Make, at: int) -> None:
    _commit_rows(ledger, make_table)
    storage, expected = ledger.storage, ledger.receipts()
    between = _Between(storage.folder, at, lambda: Ledger(storage).compact(at_least=2))
    assert Ledger(Storage(storage.url, between)).receipts() == expected
    assert (len(storage.list("done")) == 0) == (at < 3), "it happened while the folder was listed"


@pytest.mark.usefixtures("no_fsync")
def test_readers_and_two_compactions_at_once_see_every_receipt(ledger: Ledger, make_table: Make) -> None:
    """Readers look while receipts are committed and compacted twice over: what was seen never goes away."""
    stop, wrong, counts = threading.Event(), list[str](), list[int]()

    def read() -> None:
        seen: set[str] = set()
        while not stop.is_set():
            ids = [receipt.id for receipt in Ledger(ledger.storage).receipts()]
            if not seen <= set(ids) or len(ids) != len(set(ids)):
                wrong.append(f"{sorted(seen - set(ids))} vanished, or twice among {ids}")
            seen |= set(ids)
        counts.append(len(seen))

    def pack() -> None:
        while not stop.is_set():
            Ledger(ledger.storage).compact(at_least=2)

    threads = [threading.Thread(target=target) for target in (read, read, pack, pack)]
    for thread in threads:
        thread.start()
    for row in range(60):
        ledger.commit(make_table({A: [row]}), name=f"a-{row}", attempt="a", fingerprint="f")
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(counts) > 5, "the readers did look"
    assert len(ledger.storage.list("done/compact")) > 1, "there was something to get in the way of"
    assert len(Ledger(ledger.storage).receipts()) == 60


def test_in_an_object_store(bucket: str, make_table: Make, live_texts: Texts) -> None:
    ledger = Ledger(Storage.open(f"{bucket}/run"))
    _commit_rows(ledger, make_table)
    assert ledger.compact(at_least=2) == ROWS
    assert ledger.storage.list("done") == []
    assert live_texts(Ledger(ledger.storage)) == _expected()
