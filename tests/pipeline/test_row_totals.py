"""How many rows a shard has, and how that is known."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.row_totals import RowCount, count_rows
from pipeline.shard_urls import PlanError
from pipeline.spec import FieldsConfig

FIELDS = FieldsConfig()


def tar_of(count: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(count):
            tar.addfile(tarfile.TarInfo(f"{number}.jpg"))
    return out.getvalue()


def test_a_local_tar_is_counted_and_a_side_car_stands_in(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.tar", tmp_path / "b.tar.gz"
    plain.write_bytes(tar_of(3))
    packed.write_bytes(gzip.compress(tar_of(3)))
    for stem in "ab":
        (tmp_path / f"{stem}_stats.json").write_text('{"successes": 9}')
    assert count_rows(str(plain), FIELDS) == RowCount(3, "counted")
    assert count_rows(str(plain), FIELDS, headers=False) == RowCount(9, "side-car")
    assert count_rows(str(packed), FIELDS) == RowCount(9, "side-car")
    (tmp_path / "b_stats.json").unlink()
    assert count_rows(str(packed), FIELDS) is None


def test_a_parquet_file_by_its_footer(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"x"] * 5}), path)
    assert count_rows(str(path), FIELDS, headers=False) == RowCount(5, "footer")
    path.write_bytes(b"broken")
    assert count_rows(str(path), FIELDS) is None, "reading it will say what is wrong"


def test_a_parquet_file_without_a_clear_image_is_refused_when_planning(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"url": ["x"], "path": ["y"]}), path)
    with pytest.raises(PlanError, match=r"a\.parquet: columns url and path may all be the image; say which"):
        count_rows(str(path), FIELDS)
    assert count_rows(str(path), FieldsConfig(image="column:url")) == RowCount(1, "footer")
