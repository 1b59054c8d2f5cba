"""Storage, planning and the ledger on S3 and GCS, against servers on the loopback interface."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from pipeline.interrupting_folder import Killed, interrupting
from pipeline.ledger import Ledger
from pipeline.object_folder import ObjectFolder
from pipeline.plan import Plan, PlanError, expand_urls, plan_shards
from pipeline.storage import FileAbsent, Storage, StorageError


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """URL of a new, empty bucket of each kind of store."""
    url: str = request.getfixturevalue("s3_bucket" if request.param == "s3" else "gs_bucket")
    return url


def file_system(url: str) -> Any:
    return fsspec.filesystem(url.split("://")[0], use_listings_cache=False)


def test_files(bucket: str) -> None:
    storage = Storage.open(f"{bucket}/run/")
    other = pickle.loads(pickle.dumps(storage))
    assert storage.list("done") == []
    assert storage.create("done/b.json", b"first")
    assert not other.create("done/b.json", b"second")
    assert other.read("done/b.json") == b"first"
    assert other.create("done/a.json", b"x")
    assert storage.list("done") == ["done/a.json", "done/b.json"], "the listing is fresh"
    storage.write("done/a.json", b"longer")
    assert other.size("done/a.json") == 6
    assert not other.exists("done")
    storage.delete("done/a.json")
    storage.delete("done/a.json")
    assert not other.exists("done/a.json")
    with pytest.raises(FileAbsent, match=r"(s3|gs)://.*/run/done/a\.json"):
        other.read("done/a.json")
    with storage.open_input("done/b.json") as file:
        file.seek(2)
        assert file.read() == b"rst"


def test_a_folder_marker_is_no_file(bucket: str) -> None:
    file_system(bucket).pipe_file(f"{bucket}/run/done/", b"")
    storage = Storage.open(f"{bucket}/run")
    storage.create("done/a.json", b"x")
    assert storage.list("done") == ["done/a.json"]


def test_no_bucket(s3_server: str) -> None:
    with pytest.raises(StorageError, match="the bucket or folder above it does not exist"):
        Storage.open("s3://no-such-bucket/run").write("a", b"x")


def test_plans_shards(bucket: str) -> None:
    fs = file_system(bucket)
    for name in ("00001.tar", "00000.tar", "00002.tgz", "readme.txt"):
        fs.pipe_file(f"{bucket}/in/{name}", name.encode())
    folder = expand_urls([f"{bucket}/in"])
    assert folder == [f"{bucket}/in/{name}" for name in ("00000.tar", "00001.tar", "00002.tgz")]
    assert expand_urls([f"{bucket}/in/*.tar"]) == folder[:2] == expand_urls([f"{bucket}/in/{{00000..00001}}.tar"])
    first = plan_shards(folder)
    assert [(shard.shard_id, shard.size) for shard in first] == [
        ("000000-00000", 9),
        ("000001-00001", 9),
        ("000002-00002", 9),
    ]
    fs.pipe_file(f"{bucket}/in/00001.tar", b"123456789")
    second = plan_shards(folder)
    assert [a.etag == b.etag for a, b in zip(first, second, strict=True)] == [True, False, True]
    with pytest.raises(PlanError, match=r"1 of 2 shards cannot be read: (s3|gs)://.*/in/00007\.tar \(not found\)"):
        plan_shards([folder[0], f"{bucket}/in/00007.tar"])


def test_a_job_with_two_drivers_and_a_crash_ends_exactly_once(
    bucket: str,
    make_plan: Callable[..., Plan],
    make_table: Callable[..., pa.Table],
    live_texts: Callable[[Ledger], list[tuple[str, str]]],
) -> None:
    storage = Storage.open(f"{bucket}/run")
    plan = make_plan("000000-a")

    def work(ledger: Ledger) -> None:
        ledger.adopt_plan(plan)
        ledger.commit(make_table({"000000-a": range(6)}, by="a"), name="a-0", attempt="a", fingerprint="f")
        table = make_table({"000000-a": range(4, 9)}, {"000000-a": 9}, by="b")
        ledger.commit(table, name="b-0", attempt="b", fingerprint="f")
        ledger.finalize(plan)

    for at in (2, 3, 3):  # a's receipt, b's receipt, the receipt of b's repair
        with pytest.raises(Killed):
            work(Ledger(interrupting(storage, at=at, moment="before")))
    work(Ledger(storage))
    expected = [(f"000000-a/{row}/0", f"000000-a/{row}/0 by {'a' if row < 6 else 'b'}") for row in range(9)]
    assert live_texts(Ledger(storage)) == expected


class _Store:
    """Stands for an fsspec file system whose exclusive put raises what the test wants."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.objects: dict[str, bytes] = {}

    def pipe_file(self, path: str, data: bytes, **options: Any) -> None:
        if "mode" in options and self.errors:
            raise self.errors.pop(0)
        self.objects[path] = data

    def exists(self, path: str) -> bool:
        return path in self.objects

    def _strip_protocol(self, url: str) -> str:
        return url.split("://")[1]


def _answer(code: str, number: int = 5) -> OSError:
    error = OSError(number, code)
    error.__cause__ = cause = Exception(code)
    cause.response = {"Error": {"Code": code}}  # type: ignore[attr-defined]
    return error


def _folder(*errors: Exception) -> ObjectFolder:
    folder = ObjectFolder("s3://bucket/run")
    folder.__dict__["_fs"] = _Store(*errors)
    return folder


@pytest.mark.parametrize("error", [TypeError("unexpected mode"), ValueError("mode"), OSError(38, "NotImplemented")])
def test_a_store_without_conditional_writes_looks_first(error: Exception) -> None:
    folder = _folder(error, error)
    assert folder.create("a", b"first")
    assert not folder.create("a", b"second")
    assert folder._fs.objects == {"bucket/run/a": b"first"}


def test_understands_how_stores_say_that_the_name_is_taken() -> None:
    assert not _folder(_answer("PreconditionFailed", 22)).create("a", b"x")
    assert not _folder(FileExistsError()).create("a", b"x")


def test_tries_again_where_two_creations_collide() -> None:
    assert _folder(_answer("ConditionalRequestConflict")).create("a", b"x")
    with pytest.raises(OSError, match="SlowDown"):
        _folder(_answer("SlowDown")).create("a", b"x")
