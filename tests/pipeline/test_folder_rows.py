"""A run of a folder as tables: every image file a row, whatever it is, and a changed folder is not read."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.plan import plan_shards
from pipeline.records import RAW_SCHEMA
from pipeline.shard_rows import iter_tables

SUFFIXES = ("jpg", "jpeg", "png", "webp")
LIMIT = 1 << 16
Row = dict[str, Any]


def read(url: str, **options: Any) -> tuple[list[Row], Row]:
    """Plan the folder and read its only shard, as planned or with `files` as they were before."""
    [shard] = plan_shards([url], suffixes=SUFFIXES) if "files" not in options else [None]
    files = shard.files if shard is not None else options.pop("files")
    shard_id = "000003-photos"
    rows: list[Row] = []
    for table in iter_tables(url, shard_id, suffixes=SUFFIXES, max_member_bytes=LIMIT, files=files, **options):
        assert table.schema == RAW_SCHEMA
        table.validate(full=True)
        rows += table.to_pylist()
    *rows, control = rows
    for row in rows:
        assert row["uid"] == f"{shard_id}/{row['row_in_shard']}/0"
        assert row["shard_uri"] == url
        assert (row["image"] is None) == (row["error_code"] is not None) == (row["status"] == "failed")
        assert json.loads(row["meta_json"])["image_suffix"] == row["image_suffix"]
    return rows, control


def test_images_come_with_what_stands_beside_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, data in {
        "b.jpg": b"B", "b.txt": "größe".encode(), "b.json": b'{"a": [1]}', "b.npy": b"\0" * 9, "sub/a.PNG": b"A",
        "b.log": b"x" * 70_000,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    rows, control = read(str(tmp_path))
    assert [(row["key"], row["image"], row["image_suffix"]) for row in rows] == [
        ("b", b"B", "jpg"),
        ("sub/a", b"A", "png"),
    ]
    meta = json.loads(rows[0]["meta_json"])
    assert (meta["txt"], meta["json"], meta["npy"]) == ("größe", {"a": [1]}, {"bytes": 9})
    assert meta["log"] == {"omitted_bytes": 70_000}
    assert (control["shard_total"], control["shard_state"]) == (2, "done")


def test_hostile_files_are_failed_rows_and_nothing_blocks(tmp_path: Path) -> None:
    (tmp_path / "zero.jpg").touch()
    (tmp_path / "large.jpg").write_bytes(bytes(LIMIT + 1))
    (tmp_path / "fits.jpg").write_bytes(bytes(LIMIT))
    (tmp_path / "new\nline \x1b[31m.jpg").write_bytes(b"x")
    (tmp_path / ("n" * 200 + ".jpg")).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "fits.txt")
    os.symlink("nowhere", tmp_path / "dangling.jpg")
    os.symlink("/dev/zero", tmp_path / "device.jpg")
    os.symlink("fits.jpg", tmp_path / "link.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))
        rows, control = read(str(tmp_path))
    codes = {row["key"]: row["error_code"] for row in rows}
    assert codes == {
        "zero": "empty_image",
        "large": "member_too_large",
        "fits": None,
        "new\nline \x1b[31m": None,
        "n" * 200: None,
        "pipe": "unreadable_image",
        "dangling": "missing_image",
        "device": "unreadable_image",
        "link": None,
        "socket": "unreadable_image",
    }
    messages = {row["key"]: row["error_message"] for row in rows}
    assert messages["pipe"].endswith("pipe.jpg' is a named pipe, not a file")
    assert {row["error_stage"] for row in rows if row["error_code"]} == {"read"}
    assert json.loads(next(row["meta_json"] for row in rows if row["key"] == "fits"))["txt"] == {"omitted_bytes": 0}
    assert (control["shard_total"], control["shard_state"]) == (10, "done")


def test_skipped_rows_are_not_opened_and_tables_are_bounded(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * 100)
    os.remove(tmp_path / "3.jpg")
    os.mkfifo(tmp_path / "3.jpg")
    rows, control = read(str(tmp_path), skip=((2, 5), (9, 10)))
    assert [row["row_in_shard"] for row in rows] == [0, 1, 5, 6, 7, 8]
    assert control["shard_total"] == 10
    [shard] = plan_shards([str(tmp_path)])
    sizes = [
        len(table)
        for table in iter_tables(
            str(tmp_path), "a", suffixes=SUFFIXES, max_member_bytes=LIMIT, files=shard.files, bytes_per_table=250
        )
    ]
    assert sizes == [2, 3, 2, 2, 2], "the pipe counts as nothing; the last table has the control row"


@pytest.mark.parametrize("change", ["added", "removed", "rewritten"])
def test_a_changed_folder_is_not_read(tmp_path: Path, change: str) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    [shard] = plan_shards([str(tmp_path)])
    if change == "added":
        (tmp_path / "1a.jpg").write_bytes(b"x")
    elif change == "removed":
        (tmp_path / "1.jpg").unlink()
    else:
        (tmp_path / "1.jpg").write_bytes(b"other")
    rows, control = read(str(tmp_path), files=shard.files)
    assert (rows, control["shard_total"], control["shard_code"]) == ([], 0, "changed")
    assert "'0.jpg' and '2.jpg'" in control["shard_message"]


def test_a_folder_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(b"x")
    [shard] = plan_shards([str(tmp_path / "in")])
    (tmp_path / "in").rename(tmp_path / "out")
    rows, control = read(str(tmp_path / "in"), files=shard.files)
    assert (rows, control["shard_code"]) == ([], "unreadable")


def test_an_object_store_gives_the_same_rows_in_order(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for number in range(40):
        fs.pipe_file(f"{bucket}/photos/{number:02d}.jpg", b"image %d" % number if number != 7 else b"")
    fs.pipe_file(f"{bucket}/photos/03.txt", b"a caption")
    fs.pipe_file(f"{bucket}/photos/05.jpg", bytes(LIMIT + 1))
    rows, control = read(f"{bucket}/photos", skip=((20, 30),))
    assert [row["row_in_shard"] for row in rows] == [*range(20), *range(30, 40)]
    assert all(row["key"] == f"{row['row_in_shard']:02d}" for row in rows)
    good = [row for row in rows if row["image"]]
    assert [row["image"] for row in good] == [b"image %d" % row["row_in_shard"] for row in good]
    assert {row["key"]: row["error_code"] for row in rows if row["error_code"]} == {
        "05": "member_too_large", "07": "empty_image",
    }  # fmt: skip
    assert json.loads(rows[3]["meta_json"])["txt"] == "a caption"
    assert (control["shard_total"], control["shard_state"]) == (40, "done")
    [shard] = plan_shards([f"{bucket}/photos"])
    fs.pipe_file(f"{bucket}/photos/11.jpg", b"rewritten")
    assert read(f"{bucket}/photos", files=shard.files)[1]["shard_code"] == "changed"
