"""What img2dataset writes beside a tar, as far as it tells the tar's rows."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.side_car import SideCars, side_car_rows


def table(path: Path, **columns: list[object]) -> None:
    pq.write_table(pa.table(columns), path)


def test_only_what_was_downloaded_counts(tmp_path: Path) -> None:
    tar = str(tmp_path / "00000.tar")
    assert side_car_rows(tar) is None
    table(tmp_path / "00000.parquet", key=["a", "b", "c"], status=["success", "failed_to_download", "success"])
    assert side_car_rows(tar) == 2
    (tmp_path / "00000_stats.json").write_text(json.dumps({"count": 3, "successes": 1}))
    assert side_car_rows(tar) == 1, "the statistics are asked first: they are one small file"
    assert side_car_rows(str(tmp_path / "00000.tar.gz")) == 1


def test_a_table_without_a_status_counts_whole(tmp_path: Path) -> None:
    table(tmp_path / "a.parquet", caption=["x", None])
    assert side_car_rows(str(tmp_path / "a.tar")) == 2


@pytest.mark.parametrize(
    "stats", ["", "{", "[]", '{"successes": -1}', '{"successes": "3"}', '{"successes": true}', "{}"]
)
def test_statistics_that_make_no_sense_are_no_help(tmp_path: Path, stats: str) -> None:
    (tmp_path / "a_stats.json").write_text(stats)
    assert side_car_rows(str(tmp_path / "a.tar")) is None


def test_nor_is_a_broken_table_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "b.parquet").mkdir()
    (tmp_path / "b_stats.json").mkdir()
    assert side_car_rows(str(tmp_path / "a.tar")) is None
    assert side_car_rows(str(tmp_path / "b.tar")) is None
    assert side_car_rows("nosuchprotocol://a/b.tar") is None


def test_in_an_object_store(bucket: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("s3")
    assert side_car_rows(f"{bucket}/in/a.tar") is None
    table(tmp_path / "a.parquet", status=["success", "failed"])
    fs.put_file(str(tmp_path / "a.parquet"), f"{bucket}/in/a.parquet")
    assert side_car_rows(f"{bucket}/in/a.tar") == 1
    fs.pipe_file(f"{bucket}/in/a_stats.json", b'{"successes": 7}')
    assert side_car_rows(f"{bucket}/in/a.tar") == 7


def test_a_folder_without_any_is_asked_once(bucket: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("s3")
    found = SideCars()
    assert found.rows(f"{bucket}/in/00000.tar") is None
    for number in range(2):
        fs.pipe_file(f"{bucket}/in/{number:05d}_stats.json", b'{"successes": 7}')
        (tmp_path / f"{number + 1:05d}_stats.json").write_text('{"successes": 5}')
    assert found.rows(f"{bucket}/in/00001.tar") is None
    assert SideCars().rows(f"{bucket}/in/00001.tar") == 7
    assert [found.rows(str(tmp_path / f"{number:05d}.tar")) for number in range(3)] == [None, 5, 5]
