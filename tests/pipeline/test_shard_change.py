"""Shards that are exchanged before or while they are read: never done, never mixed in without a word."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.plan import plan_shards
from pipeline.shard_change import change_since
from pipeline.shard_rows import iter_tables

ROWS = 5


def _tar(content: bytes, rows: int = ROWS) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in range(rows):
            info = tarfile.TarInfo(f"k{row}.jpg")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


OLD, SAME_SIZE, SHORTER = _tar(b"a" * 700), _tar(b"b" * 700), _tar(b"b" * 700, rows=2)


def _rewrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(2, 2))


def _replace(path: Path, data: bytes) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(data)
    os.utime(other, ns=(3, 3))
    other.replace(path)


def _read(path: Path, meanwhile: Callable[[], None] = lambda: None) -> tuple[list[bytes], dict[str, Any]]:
    """The images, one table a row, and the control row; `meanwhile` is called after the second row."""
    path.write_bytes(OLD)
    os.utime(path, ns=(1, 1))
    [shard] = plan_shards([str(path)])
    tables = iter_tables(
        shard.url,
        shard.shard_id,
        suffixes=("jpg",),
        max_member_bytes=1 << 20,
        rows_per_table=1,
        expected_size=shard.size,
        expected_etag=shard.etag,
    )
    rows = []
    for number, table in enumerate(tables):
        rows += table.to_pylist()
        if number == 1:
            meanwhile()
    return [row["image"] for row in rows[:-1]], rows[-1]


def test_a_shard_that_stays_is_done(tmp_path: Path) -> None:
    images, control = _read(tmp_path / "a.tar")
    assert images == [b"a" * 700] * ROWS
    assert (control["shard_state"], control["shard_total"]) == ("done", ROWS)


@pytest.mark.parametrize("data", [SAME_SIZE, SHORTER, OLD[:-2000], OLD[:3000] + b"?" * 2000])
@pytest.mark.parametrize("how", [_rewrite, _replace])
def test_a_shard_that_changes_under_its_reading_is_bad(
    tmp_path: Path, how: Callable[[Path, bytes], None], data: bytes
) -> None:
    path = tmp_path / "a.tar"
    images, control = _read(path, lambda: how(path, data))
    assert images[:2] == [b"a" * 700] * 2
    assert (control["shard_state"], control["shard_code"]) == ("bad", "changed")
    assert control["shard_total"] >= len(images)
    assert f"{len(data):,} bytes" in control["shard_message"]
    assert f"was {len(OLD):,} bytes (version 1-" in control["shard_message"]


def test_a_shard_that_is_deleted_under_its_reading_is_not_done(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    _, control = _read(path, path.unlink)
    assert (control["shard_state"], control["shard_code"]) == ("bad", "unreadable")


def test_nothing_is_read_of_a_shard_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(OLD)
    [shard] = plan_shards([str(path)])
    _rewrite(path, SAME_SIZE)
    [table] = iter_tables(
        shard.url,
        shard.shard_id,
        suffixes=("jpg",),
        max_member_bytes=1 << 20,
        expected_size=shard.size,
        expected_etag=shard.etag,
    )
    [control] = table.to_pylist()
    assert (control["shard_total"], control["shard_code"]) == (0, "changed")


def test_an_object_is_told_by_its_version(bucket: str) -> None:
    fs, url = fsspec.filesystem("s3"), f"{bucket}/a.tar"
    fs.pipe_file(url, OLD)
    [shard] = plan_shards([url])
    assert change_since(url, shard.size, shard.etag, moment="now") is None
    fs.pipe_file(url, SAME_SIZE)
    change = change_since(url, shard.size, shard.etag, moment="now")
    assert change is not None
    assert change.code == "changed"
    assert change_since(url, shard.size, None, moment="now") is None, "by its size alone it is the same"
