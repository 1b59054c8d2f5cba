"""Names in inputs are data: no file is written anywhere but under the output folder."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.ledger import Ledger
from pipeline.receipts import LedgerError
from pipeline.records import COMMIT_SCHEMA
from pipeline.shard_rows import iter_tables
from pipeline.storage import Storage, StorageError

NAMES = (
    "../../evil",
    "/etc/evil",
    "a/../../evil",
    "..",
    "evil\x1b[2J",
    "evil\n",
    "C:\\evil",
    "~/evil",
    "$(touch evil)",
)


def test_hostile_names_come_out_as_keys_and_nothing_is_written(tmp_path: Path) -> None:
    shard = tmp_path / "in" / "a.tar"
    shard.parent.mkdir()
    with tarfile.open(shard, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in NAMES:
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    opened: list[str] = []

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o3:
            opened.append(str(arguments[0]))

    sys.addaudithook(audit)
    tables = list(
        iter_tables(str(shard), "000000-a", suffixes=("jpg",), max_member_bytes=1 << 20, column=None, files=None)
    )
    wrote = list(opened)
    keys = [key for table in tables for key in table["key"].to_pylist() if key]
    assert len(keys) >= len(NAMES) - 1
    assert wrote == []

    row = {"shard_id": "000000-a", "query": 0, "status": "ok", "task": "caption", "attempts": 1, "attempt_id": "a1"}
    rows = [row | {"uid": f"000000-a/{n}/0", "row_in_shard": n, "key": key} for n, key in enumerate(keys)]
    output = tmp_path / "out"
    table = pa.Table.from_pylist(rows, schema=COMMIT_SCHEMA)
    Ledger(Storage.open(str(output))).commit(table, name="a1-0000-000000", attempt="a1", fingerprint="f" * 64)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != shard]
    assert len(files) == 2
    assert all(path.is_relative_to(output) for path in files)


@pytest.mark.parametrize("name", ["../../x", "/abs", "x/..", "a/../../../x"])
def test_a_part_cannot_be_named_out_of_the_folder(tmp_path: Path, name: str) -> None:
    table = pa.Table.from_pylist([], schema=COMMIT_SCHEMA)
    storage = Storage.open(str(tmp_path / "out"))
    with pytest.raises(StorageError, match="not a path inside"):
        storage.write(f"data/{name}/x.parquet", b"x")
    with pytest.raises(LedgerError, match="cannot name a part"):
        Ledger(storage).commit(table, name=name, attempt="a1", fingerprint="f" * 64)
    assert not list(tmp_path.rglob("*.parquet"))
