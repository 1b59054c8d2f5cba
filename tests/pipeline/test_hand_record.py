"""What is in hand is on record before it is worked on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.hand_record import HandRecord, RowKey
from pipeline.intents import FOLDER, Care, read_intents
from pipeline.local_folder import LocalFolder
from pipeline.records import ErrorStage
from pipeline.storage import Storage

A = "000000-a"
ROUNDS = 60


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path))


@pytest.fixture
def record(storage: Storage) -> HandRecord:
    return HandRecord(storage, stage=ErrorStage.INFER, owner="a1-actor-1")


def on_record(storage: Storage) -> set[RowKey]:
    """What is on record at one moment: a listing may be out of date by the time its files are read."""
    listed: list[str] | None = None
    while listed != storage.list(FOLDER):
        listed = storage.list(FOLDER)
        intents = read_intents(storage)
    return {
        (shard_id, row)
        for intent in intents.values()
        for shard_id, ranges in intent.rows.items()
        for start, stop in ranges
        for row in range(start, stop)
    }


def keys(*rows: int) -> tuple[RowKey, ...]:
    return tuple((A, row) for row in rows)


def test_rows_are_on_record_while_they_are_held(storage: Storage, record: HandRecord) -> None:
    with record.holding(keys(1, 2), Care.TOGETHER):
        assert on_record(storage) == {*keys(1, 2)}
        with record.holding(keys(5), Care.TOGETHER):
            assert on_record(storage) == {*keys(1, 2, 5)}
    assert len(storage.list("intents")) == 1, "one file of a process at a time"


def test_a_row_that_was_alone_is_taken_off_at_once(storage: Storage, record: HandRecord) -> None:
    """Or a process that is killed while idle would condemn the row that it answered last."""
    with record.holding(keys(7), Care.ALONE):
        [intent] = read_intents(storage).values()
        assert (intent.care, intent.rows) == (Care.ALONE, {A: ((7, 8),)})
    assert storage.list("intents") == []


def test_calls_at_a_time_are_all_on_record_and_suspects_have_the_process_to_themselves(
    storage: Storage, record: HandRecord
) -> None:
    inside: set[int] = set()
    lock, seen_together, alone_with = threading.Lock(), [], []

    def call(number: int) -> None:
        care = Care.ALONE if number % 5 == 0 else Care.TOGETHER
        with record.holding(keys(number), care):
            with lock:
                inside.add(number)
            assert (A, number) in on_record(storage)
            with lock:
                (alone_with if care is Care.ALONE else seen_together).append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(ROUNDS)))
    assert set(alone_with) == {1}
    assert len(alone_with) == ROUNDS // 5
    assert max(seen_together) > 1, "ordinary calls run side by side"


class Unpacked(tuple[str, int]):
    """A row that lets something happen while its record is being written."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def __iter__(self) -> Iterator[str | int]:
        self.meanwhile()
        return super().__iter__()


def test_two_writes_never_share_a_name(storage: Storage, record: HandRecord) -> None:
    """Or the later one would delete its own file as the earlier one's."""
    seen: list[set[RowKey]] = []

    def second() -> None:
        with record.holding(keys(2), Care.TOGETHER):
            seen.append(on_record(storage))

    thread, row = threading.Thread(target=second), Unpacked((A, 1))

    def begin_second() -> None:
        row.meanwhile = lambda: None
        thread.start()
        time.sleep(0.2)  # it enters, and waits to write

    row.meanwhile = begin_second
    with record.holding((row,), Care.TOGETHER):
        thread.join()
    assert seen == [{*keys(1, 2)}]


def test_a_record_that_cannot_be_written_keeps_nothing_locked(tmp_path: Path) -> None:
    (tmp_path / "intents").write_text("a file where the folder should be")
    record = HandRecord(Storage.open(str(tmp_path)), stage=ErrorStage.INFER, owner="a")
    for care in (Care.ALONE, Care.TOGETHER):
        with pytest.raises(Exception, match="a file stands where a folder is needed"), record.holding(keys(1), care):
            raise AssertionError("worked on without a record")
    (tmp_path / "intents").unlink()
    with record.holding(keys(2), Care.ALONE):
        assert on_record(Storage.open(str(tmp_path))) == {*keys(2)}


@dataclass(frozen=True)
class _BusyAtFirst(LocalFolder):
    """A folder whose first write and first deletion fail."""

    failing: set[str] = field(default_factory=lambda: {"write", "delete"})

    def write(self, path: str, data: bytes) -> None:
        self._fail_once("write")
        super().write(path, data)

    def delete(self, path: str) -> None:
        self._fail_once("delete")
        super().delete(path)

    def _fail_once(self, what: str) -> None:
        if what in self.failing:
            self.failing.remove(what)
            raise ConnectionResetError("peer went away")


def test_a_store_that_fails_for_a_moment_ends_no_work(tmp_path: Path) -> None:
    folder = _BusyAtFirst(str(tmp_path))
    storage = Storage(str(tmp_path), folder)
    with HandRecord(storage, stage=ErrorStage.INFER, owner="a1").holding(((A, 1),), Care.ALONE):
        assert on_record(storage) == {(A, 1)}
    assert on_record(storage) == set()
    assert folder.failing == set()
