"""Storage on a local folder: whole files only, exclusive creation, nothing outside the folder, plain errors."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.folders import NoHardLinks
from pipeline.interrupting_folder import Killed, interrupting
from pipeline.local_folder import LocalFolder
from pipeline.storage import FileAbsent, Storage, StorageError


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "out"))


def test_create_is_exclusive(storage: Storage) -> None:
    assert storage.create("done/a.json", b"first")
    assert not storage.create("done/a.json", b"second")
    assert storage.read("done/a.json") == b"first"


def test_write_replaces(storage: Storage) -> None:
    storage.write("run.json", b"old")
    storage.write("run.json", b"new")
    assert storage.read("run.json") == b"new"
    assert storage.size("run.json") == 3


def test_list_is_sorted_relative_and_only_files(storage: Storage, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        storage.create(f"done/{name}.json", b"x")
    storage.create("done/sub/d.json", b"x")
    (tmp_path / "out/done/.tmp-123").write_bytes(b"half")
    assert storage.list("done") == storage.list("done/") == ["done/a.json", "done/b.json", "done/c.json"]
    assert storage.list("absent") == []
    storage.write("plan.json", b"x")
    assert storage.list("") == ["plan.json"]


def test_absent_files(storage: Storage) -> None:
    assert not storage.exists("done/a.json")
    storage.delete("done/a.json")
    storage.create("done/a.json", b"x")
    assert storage.exists("done/a.json")
    assert not storage.exists("done"), "a folder is no file"
    storage.delete("done/a.json")
    with pytest.raises(FileAbsent, match=r"cannot read .*/out/done/a\.json: it does not exist"):
        storage.read("done/a.json")
    with pytest.raises(FileAbsent):
        storage.open_input("done/a.json")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b", "", ".", "a/.", "a\\b", "a/", "a\0b"])
def test_no_path_leads_out_of_the_folder(storage: Storage, path: str) -> None:
    for call in (storage.read, storage.size, storage.delete, storage.open_input, storage.exists):
        with pytest.raises(StorageError, match="not a path inside the folder"):
            call(path)
    for put in (storage.create, storage.write):
        with pytest.raises(StorageError, match="not a path inside the folder"):
            put(path, b"x")
    with pytest.raises(StorageError, match="not a path inside the folder"):
        storage.list(f"../{path}")


def test_opens_paths_and_file_urls_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Storage.open("out").write("a", b"x")
    assert Storage.open(f"file://{tmp_path}/out").read("a") == b"x"
    assert Storage.open("out") == Storage.open(str(tmp_path / "out"))


def test_a_relative_folder_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy = pickle.dumps(Storage.open("out"))
    monkeypatch.chdir("/")
    pickle.loads(copy).write("a", b"x")
    assert (tmp_path / "out/a").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://x", "memory:// lives in one process"),
        ("nonsense://x", "unknown protocol 'nonsense'"),
        (" ", "URL is empty"),
        ("s3://AKIA:hunter2@b/out", "the folder's URL: a s3:// URL with a user and a password would be written"),
    ],
)
def test_refuses_what_cannot_work(url: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as raised:
        Storage.open(url)
    assert "hunter2" not in str(raised.value)


def test_random_reads(storage: Storage) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), sink)
    storage.write("data/a.parquet", sink.getvalue().to_pybytes())
    with storage.open_input("data/a.parquet") as file:
        assert pq.read_table(file, columns=["b"]).to_pydict() == {"b": ["x", "y"]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(storage: Storage, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match=r"cannot create .*/out/a: no permission .* check the owner"):
            storage.create("a", b"x")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_where_a_folder_is_needed(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot create .*/out/a: a file stands where a folder is needed"):
        storage.create("a", b"x")
    with pytest.raises(StorageError, match=r"cannot write .*/out/b/a: a file stands where a folder is needed"):
        storage.write("b/a", b"x")


class _Failing(LocalFolder):
    """Raises the error number that the path names."""

    def write(self, path: str, data: bytes) -> None:
        if path == "links":
            raise NoHardLinks(errno.EPERM, "no hard links")
        raise OSError(int(path), os.strerror(int(path)))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (str(errno.ENOSPC), "the disk is full; free some space"),
        (str(errno.EROFS), "the file system is read-only; make it writable"),
        (str(errno.EDQUOT), "the disk quota is used up"),
        (str(errno.EACCES), "no permission"),
        (str(errno.ECONNRESET), "check that the place can be reached"),
        ("links", "this file system has no hard links"),
    ],
)
def test_errors_say_what_happened_and_what_to_do(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as caught:
        Storage(str(tmp_path), _Failing(str(tmp_path))).write(path, b"x")
    assert f"{tmp_path}/{path}" in str(caught.value)


@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_a_killed_write_leaves_the_old_file_or_the_new_one(storage: Storage, moment: str) -> None:
    storage.write("run.json", b"old!")
    with pytest.raises(Killed):
        interrupting(storage, at=0, moment=moment).write("run.json", b"new!")  # type: ignore[arg-type]
    assert storage.read("run.json") == (b"new!" if moment == "after" else b"old!")
    assert storage.list("") == ["run.json"]
