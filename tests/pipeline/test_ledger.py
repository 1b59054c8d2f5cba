"""The ledger end to end: whatever goes wrong at whichever write, each row counts exactly once in the end."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.canonical_json import digest_of
from pipeline.completeness import IncompleteJob
from pipeline.fingerprint import fingerprint_of
from pipeline.folders import Folder
from pipeline.interrupting_folder import Killed, interrupting
from pipeline.ledger import Ledger
from pipeline.manifest import Manifest, file_digest
from pipeline.plan import Plan
from pipeline.plan_match import FingerprintMismatch
from pipeline.receipts import LedgerError
from pipeline.records import ShardCode
from pipeline.storage import FileAbsent, Storage, StorageError

MakePlan = Callable[..., Plan]
Make = Callable[..., pa.Table]
Texts = Callable[[Ledger], list[tuple[str, str]]]
A, B = "000000-a", "000001-b"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "out"))


@pytest.fixture
def ledger(storage: Storage) -> Ledger:
    return Ledger(storage)


def _commit(ledger: Ledger, table: pa.Table, name: str, **options: Any) -> None:
    ledger.commit(table, name=name, attempt=name.split("-", 1)[0], fingerprint="f", **options)


# The plan


def test_the_first_plan_stays(ledger: Ledger, make_plan: MakePlan) -> None:
    plan = make_plan(A)
    assert ledger.adopt_plan(plan) == plan
    counted = plan.model_copy(update={"shards": (plan.shards[0].model_copy(update={"rows": 5}),)})
    assert ledger.adopt_plan(counted) == plan == ledger.plan()


def test_another_fingerprint_is_refused_with_the_difference(ledger: Ledger, make_plan: MakePlan) -> None:
    old, new = (
        {"exits": {"image": 0.9}, "inputs": {"digest": "1"}},
        {"exits": {"image": 0.8}, "inputs": {"digest": "2"}},
    )
    ledger.adopt_plan(make_plan(A, fingerprint=fingerprint_of(old), parts=old))
    other = make_plan(A, B, fingerprint=fingerprint_of(new), parts=new)
    for call in (ledger.adopt_plan, ledger.finalize):
        with pytest.raises(FingerprintMismatch) as caught:
            call(other)
        assert str(caught.value).endswith(
            "(there -> now): shards added: 000001-b; exits.image: 0.9 -> 0.8. "
            "Choose another --output, or go back to the settings and shards of that job"
        )


def test_no_plan(ledger: Ledger, make_plan: MakePlan) -> None:
    with pytest.raises(FileAbsent):
        ledger.plan()
    with pytest.raises(FileAbsent):
        ledger.finalize(make_plan(A))


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\xff\xfe", b'{"schema_version": 9}'])
def test_a_foreign_plan_is_named(ledger: Ledger, make_plan: MakePlan, content: bytes) -> None:
    ledger.storage.write("plan.json", content)
    with pytest.raises(LedgerError, match=r"/out/plan\.json: [^/]+; move the file away"):
        ledger.adopt_plan(make_plan(A))


# Receipts


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"not json", b"\xff\xfe"])
def test_a_foreign_file_among_the_receipts_is_named(ledger: Ledger, content: bytes) -> None:
    ledger.storage.write("done/a-0.json", content)
    for look in (ledger.receipts, ledger.progress, ledger.repair, ledger.live_parts):
        with pytest.raises(LedgerError, match=r"/out/done/a-0\.json: [^/]+; this is no receipt: move it away"):
            look()


def test_a_renamed_receipt_is_named(ledger: Ledger, make_table: Make) -> None:
    _commit(ledger, make_table({A: [0]}), "a-0")
    ledger.storage.write("done/b-0.json", ledger.storage.read("done/a-0.json"))
    with pytest.raises(LedgerError, match=r"done/b-0\.json holds the receipt 'a-0'"):
        ledger.receipts()


class _Counting:
    """Counts reads."""

    def __init__(self, inner: Folder) -> None:
        self.inner, self.reads = inner, [0]

    def read(self, path: str) -> bytes:
        self.reads.append(1)
        return self.inner.read(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_polling_reads_only_new_receipts(storage: Storage, make_table: Make) -> None:
    counting = _Counting(storage.folder)
    watcher = Ledger(Storage(storage.url, counting))
    seen = []
    for index in range(4):
        _commit(Ledger(storage), make_table({A: [index]}), f"a-{index}")
        seen.append((watcher.progress().rows_committed, sum(counting.reads)))
    assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]
    storage.delete("done/a-0.json")
    assert watcher.progress().of(A).done == ((1, 4),), "a receipt that was taken away no longer counts"


def test_a_ledger_goes_to_other_processes(ledger: Ledger, make_table: Make, live_texts: Texts) -> None:
    _commit(ledger, make_table({A: [0]}), "a-0")
    ledger.receipts()
    copy = pickle.loads(pickle.dumps(ledger))
    _commit(copy, make_table({A: [1]}), "a-1")
    assert live_texts(copy) == live_texts(ledger) == [(f"{A}/{row}/0", f"{A}/{row}/0 by a") for row in (0, 1)]


def test_readers_ignore_data_without_a_receipt(ledger: Ledger, storage: Storage, make_table: Make) -> None:
    with pytest.raises(Killed):
        _commit(Ledger(interrupting(storage, at=1, moment="before")), make_table({A: [0]}), "a-0")
    assert storage.list("data") == ["data/a-0.parquet"]
    assert (list(ledger.read_live()), ledger.live_parts(), ledger.progress().rows_committed) == ([], [], 0)


# Retries


def test_a_retry_replaces_whole_parts(ledger: Ledger, make_table: Make, make_plan: MakePlan, live_texts: Texts) -> None:
    ledger.adopt_plan(make_plan(A))
    _commit(ledger, make_table({A: range(3)}), "a-0")
    _commit(ledger, make_table({A: range(3, 5)}, {A: 5}), "a-1")
    for _ in range(2):  # the retried commit may itself be repeated
        _commit(ledger, make_table({A: range(3)}, by="retry"), "retry-0", replaces=["data/a-0.parquet"])
    manifest = ledger.finalize(make_plan(A))
    assert [part.path for part in manifest.parts] == ["data/a-1.parquet", "data/retry-0.parquet"]
    assert [text for _, text in live_texts(ledger)] == [
        f"{A}/{row}/0 by {'retry' if row < 3 else 'a'}" for row in range(5)
    ]


def test_a_retry_may_not_drop_rows(ledger: Ledger, make_table: Make) -> None:
    _commit(ledger, make_table({A: range(3)}), "a-0")
    with pytest.raises(
        LedgerError, match=r"replacement of data/a-0\.parquet lacks rows \[\(1, 3\)\] of shard 000000-a"
    ):
        _commit(ledger, make_table({A: [0]}), "b-0", replaces=["data/a-0.parquet"])
    with pytest.raises(LedgerError, match=r"data/x\.parquet cannot be replaced: it is no live part"):
        _commit(ledger, make_table({A: [0]}), "b-0", replaces=["data/x.parquet"])
    _commit(ledger, make_table({A: range(3)}), "b-0", replaces=["data/a-0.parquet"])
    with pytest.raises(LedgerError, match=r"data/a-0\.parquet cannot be replaced: it is no live part"):
        _commit(ledger, make_table({A: range(3)}), "c-0", replaces=["data/a-0.parquet"])


# The end


def test_the_manifest_vouches_for_everything(ledger: Ledger, make_table: Make, make_plan: MakePlan) -> None:
    storage, plan = ledger.storage, make_plan(A, B)
    assert ledger.manifest() is None
    ledger.adopt_plan(plan)
    storage.write("run.json", b'{"run": 1}')
    storage.write("intents/a.json", b"not evidence")
    _commit(ledger, make_table({A: [0, 1]}, {A: 2}), "a-0")
    _commit(ledger, make_table({A: [1]}), "b-0")
    _commit(ledger, make_table({B: [0]}, {B: 1}, bad="truncated"), "a-1")
    ledger.write_failure_entry(B, ShardCode.TRUNCATED, "cut off after row 0", "/corpus/b.tar", 2)
    manifest = ledger.finalize(plan)
    assert (manifest.rows, manifest.shards, manifest.fingerprint) == (3, 2, plan.fingerprint)
    assert sorted(manifest.files) == [
        *(f"done/{name}.json" for name in ("a-0", "a-1", "b-0", "b-0.r1")),
        f"failures/{B}.json",
        "plan.json",
        "run.json",
    ]
    for path, digest in manifest.files.items():
        assert digest == file_digest(storage.read(path))
    assert [part.path for part in manifest.parts] == ["data/a-0.parquet", "data/a-1.parquet"]
    for part in manifest.parts:
        data = storage.read(part.path)
        assert (part.bytes, part.sha256) == (len(data), digest_of(data))
    assert Manifest.from_json(storage.read("manifest.json")) == manifest == ledger.manifest()
    before = storage.read("manifest.json")
    assert ledger.finalize(plan) == manifest
    assert storage.read("manifest.json") == before
    assert [(entry.shard_id, entry.code, entry.attempts) for entry in ledger.failure_entries()] == [
        (B, ShardCode.TRUNCATED, 2)
    ]


def test_an_incomplete_job_names_its_gaps(ledger: Ledger, make_table: Make, make_plan: MakePlan) -> None:
    plan = make_plan(A, B, "000002-c", "000003-d")
    ledger.adopt_plan(plan)
    _commit(ledger, make_table({A: [0, 2, 3, 7], B: [0]}, {A: 9}), "a-0")
    _commit(ledger, make_table({"000003-d": [0]}, {"000003-d": 1}), "a-1")
    with pytest.raises(IncompleteJob) as caught:
        ledger.finalize(plan)
    assert caught.value.gaps == {A: ((1, 2), (4, 7), (8, 9)), B: None, "000002-c": None}
    assert (
        "3 of 4 shards are not complete: 000000-a lacks rows 1, 4-6, 8 of 9, "
        "000001-b end not reached, committed rows 0, 000002-c not begun; run the same command again"
    ) in str(caught.value)
    assert ledger.manifest() is None


def test_rows_that_no_shard_has_are_refused(ledger: Ledger, make_table: Make, make_plan: MakePlan) -> None:
    ledger.adopt_plan(make_plan(A))
    _commit(ledger, make_table({A: range(4)}, {A: 3}), "a-0")
    with pytest.raises(LedgerError, match=r"beyond their shard's end are committed: 000000-a rows 3;"):
        ledger.finalize(make_plan(A))
    _commit(ledger, make_table({B: [0]}), "a-1")
    with pytest.raises(LedgerError, match=r"the plan does not have: 000001-b in done/a-1\.json; .*: move them away"):
        ledger.finalize(make_plan(A))


@pytest.mark.parametrize(("damage", "message"), [(b"short", "has 5 bytes"), (None, "is missing")])
def test_a_lost_part_is_named(
    ledger: Ledger, make_table: Make, make_plan: MakePlan, damage: bytes | None, message: str
) -> None:
    ledger.adopt_plan(make_plan(A))
    _commit(ledger, make_table({A: [0]}, {A: 1}), "a-0")
    if damage is None:
        ledger.storage.delete("data/a-0.parquet")
    else:
        ledger.storage.write("data/a-0.parquet", damage)
    with pytest.raises(LedgerError, match=rf"data/a-0\.parquet {message}, but \d+ bytes were committed"):
        ledger.finalize(make_plan(A))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: None, "does not exist"),
        (lambda data: data[:100], "Parquet"),
        (lambda data: data[:20] + bytes(200) + data[220:], ""),
    ],
)
def test_a_part_that_cannot_be_read_says_how_to_go_on(
    ledger: Ledger, make_table: Make, damage: Callable[[bytes], bytes | None], reason: str
) -> None:
    _commit(ledger, make_table({A: range(4)}), "a-0")
    data = damage(ledger.storage.read("data/a-0.parquet"))
    ledger.storage.delete("data/a-0.parquet")
    if data is not None:
        ledger.storage.write("data/a-0.parquet", data)
    with pytest.raises(
        LedgerError, match=rf"data/a-0\.parquet cannot be read .*{reason}.* 'mue repair .*/out --apply' withdraw"
    ):
        list(ledger.read_live())


# Crashes


@pytest.fixture
def one_deletion_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the n-th write is always the same one."""
    monkeypatch.setattr("pipeline.compaction._CONNECTIONS", 1)


def _job(ledger: Ledger, plan: Plan, make_table: Make, *, attempt: str) -> None:
    """A small job with two drivers that overlap, a compaction, a shard cut off, and an empty one."""
    ledger.adopt_plan(plan)
    _commit(ledger, make_table({A: range(4)}, by="first"), f"{attempt}-0")
    _commit(ledger, make_table({A: range(4, 7), B: [0]}, {A: 7}, by="first"), f"{attempt}-1")
    _commit(ledger, make_table({B: [0, 1]}, by="rival"), f"{attempt}rival-0")
    ledger.compact(at_least=2)
    ledger.write_failure_entry(B, ShardCode.TRUNCATED, "cut off", "/corpus/b.tar", 1)
    _commit(ledger, make_table({}, {B: 2}, bad="truncated"), f"{attempt}-2")
    _commit(ledger, make_table({}, {"000002-c": 0}), f"{attempt}-3")
    ledger.finalize(plan)


@pytest.mark.usefixtures("no_fsync", "one_deletion_at_a_time")
@pytest.mark.parametrize(
    ("moment", "killed", "same_names"),
    [
        pytest.param("before", True, True, id="killed-before-then-retried"),
        pytest.param("before", True, False, id="killed-before-then-resumed"),
        pytest.param("after", True, True, id="killed-after-then-retried"),
        pytest.param("after", True, False, id="killed-after-then-resumed"),
        pytest.param("torn", True, True, id="killed-within-then-retried"),
        pytest.param("torn", False, False, id="disk-full-then-resumed"),
        pytest.param("after", False, True, id="error-after-then-retried"),
    ],
)
def test_a_failure_at_any_write_ends_exactly_once(
    tmp_path: Path,
    make_plan: MakePlan,
    make_table: Make,
    live_texts: Texts,
    moment: Any,
    killed: bool,
    same_names: bool,
) -> None:
    plan = make_plan(A, B, "000002-c")
    rows = {A: 7, B: 2}
    uids = sorted(f"{shard}/{row}/0" for shard, total in rows.items() for row in range(total))
    ending = Killed if killed else StorageError
    failures = 0
    while True:
        storage = Storage.open(str(tmp_path / f"out{failures}"))
        failing = Ledger(interrupting(storage, at=failures, moment=moment, killed=killed))
        try:
            _job(failing, plan, make_table, attempt="a")
        except ending:
            failures += 1
        else:
            break
        _job(Ledger(storage), plan, make_table, attempt="a" if same_names else "b")
        ledger = Ledger(storage)
        assert [uid for uid, _ in live_texts(ledger)] == uids
        for uid, text in live_texts(ledger):
            assert text in ((f"{uid} by first", f"{uid} by rival") if uid.startswith(B) else (f"{uid} by first",))
        assert sum(part.rows for part in ledger.live_parts()) == len(uids)
        assert ledger.manifest() == ledger.finalize(plan)
    assert failures == 17, "every single write failed once"


def test_resuming_does_only_what_is_missing(
    storage: Storage, make_plan: MakePlan, make_table: Make, live_texts: Texts
) -> None:
    plan = make_plan(A, B)
    ledger = Ledger(storage)
    ledger.adopt_plan(plan)
    _commit(ledger, make_table({A: range(5)}, {A: 5}), "a-0")
    _commit(ledger, make_table({B: range(2, 4)}), "a-1")
    with pytest.raises(Killed):
        _commit(Ledger(interrupting(storage, at=1, moment="before")), make_table({B: range(2)}), "a-2")
    again = Ledger(storage)
    assert again.progress().unfinished(plan) == {B: [(2, 4)]}
    _commit(again, make_table({B: [0, 1, 4]}, {B: 5}, by="b"), "b-0")
    assert again.progress().unfinished(plan) == {}
    again.finalize(plan)
    assert live_texts(again) == [
        *((f"{A}/{row}/0", f"{A}/{row}/0 by a") for row in range(5)),
        *((f"{B}/{row}/0", f"{B}/{row}/0 by {'a' if row in (2, 3) else 'b'}") for row in range(5)),
    ]


_DRIVER = """
import sys
import pyarrow as pa
from pipeline.ledger import Ledger
from pipeline.storage import Storage
ledger, tables = Ledger(Storage.open(sys.argv[1])), pa.ipc.open_stream(sys.argv[2]).read_all()
print("ready", flush=True)
sys.stdin.readline()
for index in range(20):
    ledger.commit(tables.slice(index * 10, 10), name=f"t-{index}", attempt="t", fingerprint="f")
"""


def test_two_processes_that_commit_the_same_names_agree(
    ledger: Ledger, make_plan: MakePlan, make_table: Make, live_texts: Texts, tmp_path: Path
) -> None:
    ledger.adopt_plan(make_plan(A))
    drivers = []
    for name in ("x", "y"):
        table = make_table({A: range(200)}, by=name)
        with pa.ipc.new_stream(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        arguments = [sys.executable, "-c", _DRIVER, ledger.storage.url, str(tmp_path / name)]
        pipe = subprocess.PIPE
        drivers.append(subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, env=environment))
    for driver in drivers:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write("go\n")
        driver.stdin.flush()
    for driver in drivers:
        driver.communicate(timeout=60)
        assert driver.returncode == 0
    _commit(ledger, make_table({}, {A: 200}), "end")
    manifest = ledger.finalize(make_plan(A))
    assert len(manifest.parts) == 20
    for part in manifest.parts:
        assert digest_of(ledger.storage.read(part.path)) == part.sha256
    texts = live_texts(ledger)
    assert [uid for uid, _ in texts] == sorted(f"{A}/{row}/0" for row in range(200))
    assert all(text in (f"{uid} by x", f"{uid} by y") for uid, text in texts)
