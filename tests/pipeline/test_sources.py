"""Shards as read tasks, without starting Ray."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset

from pipeline.control import StopWatch, request_stop
from pipeline.plan import plan_shards
from pipeline.records import RAW_SCHEMA
from pipeline.shard_read import ShardRead
from pipeline.sources import ShardSource
from pipeline.spec import FieldsConfig, InputsConfig
from pipeline.storage import Storage


def write(path: Path, rows: int) -> ShardRead:
    with webdataset.TarWriter(str(path)) as writer:
        for row in range(rows):
            writer.write({"__key__": f"k{row}", "png": b"pixels", "jpg": b"other pixels"})
    return ShardRead(shard_id=f"000000-{path.stem}", url=str(path), size=path.stat().st_size, skip=((1, 2),))


def unstopped(folder: Path) -> StopWatch:
    return StopWatch(str(folder), "a1")


def test_there_is_one_task_a_shard_whatever_parallelism_is_asked_for(tmp_path: Path) -> None:
    reads = [write(tmp_path / f"{number}.tar", 3) for number in range(3)]
    source = ShardSource(reads, InputsConfig(urls=("x",)), unstopped(tmp_path))
    assert len(source.get_read_tasks(parallelism=200)) == 3
    assert source.estimate_inmemory_data_size() == sum(read.size for read in reads)


def test_a_task_travels_and_reads_its_shard_with_the_job_s_settings(tmp_path: Path) -> None:
    read = write(tmp_path / "0.tar", 3)
    inputs = InputsConfig(urls=("x",), fields=FieldsConfig(image="png;jpg"))
    [task] = pickle.loads(pickle.dumps(ShardSource([read], inputs, unstopped(tmp_path)))).get_read_tasks(parallelism=1)
    [table] = list(task())
    assert table.schema.equals(RAW_SCHEMA)
    assert table["row_in_shard"].to_pylist() == [0, 2, None], "row 1 is done already; the last row is the shard's end"
    assert table["image"].to_pylist() == [b"pixels", b"pixels", None]
    assert table["shard_total"].to_pylist()[-1] == 3


def test_folders_and_named_columns_travel_too(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"A")
    pq.write_table(pa.table({"left": [b"L"], "right": [b"R"]}), tmp_path / "t.parquet")
    inputs = InputsConfig(urls=("x",), fields=FieldsConfig(image="jpg;column:right"))
    shards = plan_shards([str(tmp_path / "photos"), str(tmp_path / "t.parquet")])
    reads = [ShardRead(shard_id=s.shard_id, url=s.url, size=s.size, files=s.files) for s in shards]
    tasks = pickle.loads(pickle.dumps(ShardSource(reads, inputs, unstopped(tmp_path)))).get_read_tasks(parallelism=1)
    images = [table["image"].to_pylist() for task in tasks for table in task()]
    assert images == [[b"A", None], [b"R", None]]


def test_a_shard_that_is_not_the_planned_one_is_not_read(tmp_path: Path) -> None:
    read = write(tmp_path / "0.tar", 3)
    changed = ShardRead(shard_id=read.shard_id, url=read.url, size=read.size - 1)
    [task] = ShardSource([changed], InputsConfig(urls=("x",)), unstopped(tmp_path)).get_read_tasks(parallelism=1)
    [table] = list(task())
    [end] = table.to_pylist()
    assert (end["shard_total"], end["shard_state"], end["shard_code"]) == (0, "bad", "changed")


def test_once_the_job_is_to_stop_a_shard_ends_without_its_total(tmp_path: Path) -> None:
    """Or rows that nobody read would pass for rows that the shard does not have."""
    now = 0.0
    stop = StopWatch(str(tmp_path), "a1", clock=lambda: now)
    [task] = ShardSource([write(tmp_path / "0.tar", 200)], InputsConfig(urls=("x",)), stop).get_read_tasks(
        parallelism=1
    )
    tables = iter(task())
    first = next(tables)
    request_stop(Storage.open(str(tmp_path)), "a1")
    now = 10.0
    assert list(tables) == []
    assert 0 < first.num_rows < 200
    assert first["shard_total"].null_count == first.num_rows
    assert list(task()) == [], "a shard that was not begun is not opened"
