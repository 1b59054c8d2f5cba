"""Reads one shard into tables of `RAW_SCHEMA` that end with what became of the shard. Never raises for bad input.

The same shard and the same `skip` always give the same tables, cut in the same places: a retried task repeats them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.folder_images import FileRun
from pipeline.folder_rows import folder_rows
from pipeline.identity import uid_of
from pipeline.parquet_file import is_parquet
from pipeline.parquet_rows import parquet_rows
from pipeline.raw_row import RawRow
from pipeline.records import RAW_SCHEMA, ErrorStage, RowStatus, ShardCode, ShardState
from pipeline.rows_wanted import RowsWanted
from pipeline.shard_change import change_since
from pipeline.shard_open import open_shard
from pipeline.tar_rows import tar_rows
from pipeline.tar_source import ShardError

Opener = Callable[[str], AbstractContextManager[BinaryIO]]
"""Gives the tar stream of a URL; an opened binary file is one by itself."""


def iter_tables(
    url: str,
    shard_id: str,
    *,
    suffixes: tuple[str, ...],
    max_member_bytes: int,
    column: str | None = None,
    files: FileRun | None = None,
    skip: Sequence[tuple[int, int]] = (),
    rows_per_table: int = 64,
    bytes_per_table: int = 16 << 20,
    open_stream: Opener | None = None,
    expected_size: int | None = None,
    expected_etag: str | None = None,
) -> Iterator[pa.Table]:
    """Yield the shard's rows and, as the last row of the last table, one control row with its total and state.

    Where `skip` ends `BEYOND` every shard's end, reading ends with the last row wanted, and there is no control row.

    Args:
        url: Where the shard is; also its `shard_uri`.
        shard_id: First part of every uid.
        suffixes: Suffixes of the image member in order of preference, lower-case, without dots.
        max_member_bytes: A larger image gives a failed row.
        column: Image column of Parquet; None to find it.
        files: Which images of the folder `url` the shard is; None of tars and Parquet.
        skip: Ranges [start, stop) of rows that are counted but not emitted.
        rows_per_table: Most rows of a table, the control row not counted.
        bytes_per_table: Most bytes of a table's images and metadata, except where one row alone has more.
        open_stream: Opens the URL instead of fsspec.
        expected_size: Size in storage when it was planned. A shard that has another one before it is read is not read,
            and one that has another one afterwards is bad: see `pipeline.shard_change`.
        expected_etag: Its version then, which is held against it likewise.
    """
    batch = _Batch(url, shard_id)
    emitted = RowsWanted(skip)
    total = 0
    broken: ShardError | None = None
    # A folder's images are held against the digest of their run instead.
    planned = None if expected_size is None or files is not None else (expected_size, expected_etag)
    try:
        with ExitStack() as stack:
            rows: Iterator[RawRow | None]
            limits: dict[str, Any] = {"suffixes": suffixes, "max_image_bytes": max_member_bytes, "wanted": emitted.has}
            if planned is not None:
                _raise(change_since(url, *planned, moment="before it is read"))
            if files is not None:
                rows = folder_rows(url, files, **limits)
            elif is_parquet(url):
                rows = parquet_rows(url, column=column, **limits)
            else:
                rows = tar_rows(_opened(stack, url, open_stream), suffixes=suffixes, max_member_bytes=max_member_bytes)
            for row in rows:
                if row is not None and emitted.has(total):
                    if len(batch) and batch.n_bytes + row.n_bytes > bytes_per_table:
                        yield batch.take()
                    batch.add(total, row)
                    if len(batch) >= rows_per_table or batch.n_bytes >= bytes_per_table:
                        yield batch.take()
                total += 1
                if emitted.all_over(total):
                    if len(batch):
                        yield batch.take()
                    return
    except ShardError as error:
        broken = error
    if planned is not None and (broken is None or broken.code is not ShardCode.CHANGED):
        changed = change_since(url, *planned, moment="after it was read")
        # What broke off in a shard that was exchanged says nothing about either version.
        broken = changed if broken is None or (changed and changed.code is ShardCode.CHANGED) else broken
    batch.add_control(total, broken)
    yield batch.take()


def _raise(error: ShardError | None) -> None:
    if error is not None:
        raise error


def _opened(stack: ExitStack, url: str, open_stream: Opener | None) -> BinaryIO:
    try:
        return stack.enter_context((open_stream or open_shard)(url))
    except (MemoryError, ShardError):
        raise
    except Exception as error:  # storage backends raise classes of their own; the control row reports it
        raise ShardError(ShardCode.UNREADABLE, f"cannot open the shard: {type(error).__name__}: {error}") from error


class _Batch:
    """The rows of the table that is being filled."""

    def __init__(self, url: str, shard_id: str) -> None:
        self._shard = {"shard_id": shard_id, "shard_uri": url}
        self._rows: list[dict[str, Any]] = []
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row_in_shard: int, row: RawRow) -> None:
        failed = row.error_code is not None
        self._rows.append(
            self._shard
            | {
                "uid": uid_of(self._shard["shard_id"], row_in_shard),
                "key": row.key,
                "row_in_shard": row_in_shard,
                "query": 0,
                "image": row.image,
                "image_suffix": row.image_suffix,
                "member_offset": row.member_offset,
                "meta_json": row.meta_json,
                "read_ms": row.read_ms,
                "status": RowStatus.FAILED if failed else RowStatus.OK,
                "error_stage": ErrorStage.READ if failed else None,
                "error_code": row.error_code,
                "error_message": row.error_message,
            }
        )
        self.n_bytes += row.n_bytes

    def add_control(self, total: int, broken: ShardError | None) -> None:
        self._rows.append(
            self._shard
            | {
                "shard_total": total,
                "shard_state": ShardState.DONE if broken is None else ShardState.BAD,
                "shard_code": None if broken is None else broken.code,
                # An operating system's message may quote a path that is not UTF-8.
                "shard_message": None
                if broken is None
                else broken.message.encode("utf-8", "backslashreplace").decode(),
            }
        )

    def take(self) -> pa.Table:
        """Return the rows as a table and forget them."""
        rows, self._rows, self.n_bytes = self._rows, [], 0
        return pa.Table.from_pylist(rows, schema=RAW_SCHEMA)
