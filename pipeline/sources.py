"""Shards as a Ray Data source: one read task per shard, each a stream of `RAW_SCHEMA` tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from ray.data import DataContext, Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from pipeline.control import StopWatch
from pipeline.records import RAW_SCHEMA
from pipeline.shard_read import ShardRead
from pipeline.shard_rows import iter_tables
from pipeline.spec import InputsConfig


class ShardSource(Datasource):
    """Reads shards strictly; bad input becomes rows and control rows, never an exception."""

    def __init__(self, reads: Sequence[ShardRead], inputs: InputsConfig, stop: StopWatch) -> None:
        super().__init__()
        self._reads, self._inputs, self._stop = tuple(reads), inputs, stop

    def get_name(self) -> str:
        """Name of the read tasks in Ray's logs, after "Read"."""
        return "Shards"

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of all shards: images stay compressed until they are decoded."""
        return sum(read.size for read in self._reads)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """One task per shard, whatever parallelism Ray asks for: a shard is a forward-only stream."""
        return [
            ReadTask(
                _reader(read, self._inputs, self._stop),
                BlockMetadata(
                    num_rows=None, size_bytes=read.size, input_files=[read.url], exec_stats=None, task_exec_stats=None
                ),
                schema=RAW_SCHEMA,
                per_task_row_limit=per_task_row_limit,
            )
            for read in self._reads
        ]


def _reader(read: ShardRead, inputs: InputsConfig, stop: StopWatch) -> Callable[[], Iterator[pa.Table]]:
    tables = partial(
        iter_tables,
        read.url,
        read.shard_id,
        suffixes=inputs.fields.image_suffixes,
        max_member_bytes=inputs.max_member_mib << 20,
        column=inputs.fields.image_column,
        files=read.files,
        skip=read.skip,
        expected_size=read.size,
        expected_etag=read.etag,
    )
    return partial(_until_stopped, tables, stop)


def _until_stopped(tables: Callable[[], Iterator[pa.Table]], stop: StopWatch) -> Iterator[pa.Table]:
    """Yield the shard's tables; once the job is to stop no more, and so no total: the shard's end was not reached."""
    if stop.stopped():
        return
    for table in tables():
        yield table
        if stop.stopped():
            return
