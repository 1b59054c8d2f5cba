"""A real file system that fills up, or becomes read-only, under the ledger. Skips where none may be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.driver_identity import Driver
from pipeline.lease import take_lease
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.storage import Storage, StorageError

Make = Callable[..., pa.Table]
Texts = Callable[[Ledger], list[tuple[str, str]]]
A = "000000-a"
ROWS = 24


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)):
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _work(ledger: Ledger, plan: Plan, make_table: Make) -> None:
    """Whatever of the shard is not committed yet, a row a part; now and then a compaction."""
    ledger.adopt_plan(plan)
    lease = take_lease(ledger.storage, Driver.this("a").model_copy(update={"started": "1"}), length_s=60)
    for row in range(ROWS):
        table = make_table({A: [row]}, {A: ROWS} if row == ROWS - 1 else None)
        ledger.commit(table, name=f"a-{row:02d}", attempt="a", fingerprint="f")
        ledger.compact(at_least=7)
        assert lease.renew()
    ledger.finalize(plan)


def test_a_job_that_fills_its_disk_goes_on_when_there_is_room(
    disk: Path, make_plan: Callable[..., Plan], make_table: Make, live_texts: Texts
) -> None:
    storage, plan, stops = Storage.open(str(disk / "out")), make_plan(A), 0
    for kilobytes in range(220, 2000, 20):
        try:
            _work(Ledger(storage), plan, make_table)
            break
        except StorageError as error:
            said = str(error)
        stops += 1
        assert f"{disk}/out/" in said
        assert "the disk is full; free some space" in said
        half = [path for path in disk.rglob("*") if path.name.startswith(".tmp-")]
        assert half == [], "a file that did not fit is not left lying about"
        committed = live_texts(Ledger(storage))
        assert len(set(committed)) == len(committed)
        assert _mount("-o", f"remount,size={kilobytes}k", str(disk))
    assert stops >= 3, "it filled up again and again"
    assert live_texts(Ledger(storage)) == sorted((f"{A}/{row}/0", f"{A}/{row}/0 by a") for row in range(ROWS))
    assert Ledger(storage).finalized(plan)


def test_a_read_only_folder_can_be_looked_at_and_says_so_when_written_to(
    disk: Path, make_plan: Callable[..., Plan], make_table: Make, live_texts: Texts
) -> None:
    storage, plan = Storage.open(str(disk / "out")), make_plan(A)
    ledger = Ledger(storage)
    ledger.adopt_plan(plan)
    ledger.commit(make_table({A: [0, 1]}, {A: 2}), name="a-0", attempt="a", fingerprint="f")
    manifest = ledger.finalize(plan)
    assert _mount("-o", "remount,ro", str(disk))
    reader = Ledger(Storage.open(str(disk / "out")))
    assert reader.adopt_plan(plan) == plan
    assert (reader.finalized(plan), reader.manifest(), len(live_texts(reader))) == (True, manifest, 2)
    commit = make_table({A: [2]})
    for write in (
        lambda: reader.commit(commit, name="a-1", attempt="a", fingerprint="f"),
        lambda: reader.finalize(plan),
        lambda: take_lease(storage, Driver.this("a"), length_s=60),
    ):
        with pytest.raises(StorageError, match="the file system is read-only; make it writable"):
            write()
