"""Folders of images in a plan."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import fsspec
import pytest

from pipeline import folder_images
from pipeline.folder_plan import runs_of_folder
from pipeline.plan import PlanError, plan_shards
from pipeline.plan_match import shard_differences
from pipeline.shard_urls import expand_urls

SUFFIXES = ("jpg", "png")


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        os.close(os.open(folder / f"{number:06d}.jpg", os.O_CREAT | os.O_WRONLY))


def test_a_large_flat_folder_is_many_shards_quickly(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 20_000)
    start = time.perf_counter()
    shards = plan_shards(expand_urls([str(tmp_path / "photos")]))
    assert time.perf_counter() - start < 10
    assert [shard.rows for shard in shards] == [4096, 4096, 4096, 4096, 3616]
    assert [shard.shard_id for shard in shards] == [f"{number:06d}-photos" for number in range(5)]
    assert {shard.rows_from for shard in shards} == {"listed"}
    assert len(shards[0].model_dump_json()) < 500, "a plan names runs, not files"


def test_changes_are_named_by_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_images.cut_into_runs, "__kwdefaults__", {"rows_per_run": 4})
    fill(tmp_path / "photos", 10)
    old = plan_shards([str(tmp_path / "photos")])
    assert [shard.rows for shard in old] == [4, 4, 2]
    (tmp_path / "photos" / "000005.jpg").write_bytes(b"rewritten")
    new = plan_shards([str(tmp_path / "photos")])
    [line] = shard_differences(old, new)
    assert line.startswith("shards changed: 000001-photos (")


def test_folders_and_files_may_be_mixed(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 3)
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    (tmp_path / "z.tar").write_bytes(bytes(1024))
    urls = expand_urls([str(tmp_path / name) for name in ("a.tar", "photos", "z.tar")])
    shards = plan_shards(urls)
    assert [(shard.shard_id, shard.files is None) for shard in shards] == [
        ("000000-a", True), ("000001-photos", False), ("000002-z", True),
    ]  # fmt: skip


def test_an_object_store_too(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for name in ("b.jpg", "a.jpg", "a.txt", "deep/er/c.png"):
        fs.pipe_file(f"{bucket}/photos/{name}", name.encode())
    [shard] = plan_shards(expand_urls([f"{bucket}/photos/"]), suffixes=SUFFIXES)
    assert shard.files is not None
    assert (shard.url, shard.rows, shard.files.first, shard.files.last) == (
        f"{bucket}/photos", 3, "a.jpg", "deep/er/c.png",
    )  # fmt: skip
    fs.pipe_file(f"{bucket}/photos/b.jpg", b"new content")
    [changed] = plan_shards([f"{bucket}/photos"], suffixes=SUFFIXES)
    assert changed.etag != shard.etag


def test_files_in_no_row_are_told_by_suffix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path / "photos", 2)
    for name in ("x.gif", "y.gif", "notes.md"):
        (tmp_path / "photos" / name).touch()
    with caplog.at_level(logging.WARNING):
        assert len(runs_of_folder(str(tmp_path / "photos"), SUFFIXES)) == 1
    assert "3 files are in no row (2 .gif, 1 .md)" in caplog.text


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "x.gif").touch()
    with pytest.raises(PlanError, match=r"no image \(\.jpg, \.png\); it holds 1 \.gif"):
        runs_of_folder(str(tmp_path), SUFFIXES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlanError, match=r"folder .*/empty holds no shard \(\.tar, \.parquet\) and no image"):
        plan_shards(expand_urls([str(tmp_path / "empty")]))
    with pytest.raises(PlanError, match="no reliable listing"):
        runs_of_folder("http://127.0.0.1:9/photos/", SUFFIXES)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list anything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "closed", 1)
    (tmp_path / "photos" / "closed").chmod(0)
    try:
        with pytest.raises(PlanError, match=r"folder .*/closed cannot be listed: Permission denied"):
            runs_of_folder(str(tmp_path / "photos"), SUFFIXES)
    finally:
        (tmp_path / "photos" / "closed").chmod(0o700)
