"""Reads a tar into rows, grouped by WebDataset's rules for names."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pipeline.raw_row import RawRow, RowBuilder
from pipeline.records import ShardCode
from pipeline.row_grouping import RowGrouping, split_name
from pipeline.shard_open import open_local_tar
from pipeline.tar_reader import TarMember, read_members
from pipeline.tar_source import ShardError


def tar_rows(stream: BinaryIO, *, suffixes: Sequence[str], max_member_bytes: int) -> Iterator[RawRow]:
    """Yield the tar's rows in order.

    Raises:
        ShardError: The tar is not whole. The row that it breaks in has been yielded, except where storage failed.
    """
    grouping = RowGrouping()
    builder: RowBuilder | None = None
    try:
        for member, read_ms in _timed(read_members(stream, max_member_bytes=max_member_bytes)):
            parts = split_name(member.name)
            if parts is None:
                continue
            if grouping.begins_row(*parts):
                if builder is not None:
                    yield builder.finish()
                builder = RowBuilder(parts[0], suffixes)
            assert builder is not None  # the first member always begins a row
            builder.add(parts[1], member, read_ms)
    except ShardError as error:
        if builder is None:
            raise
        if error.code is ShardCode.UNREADABLE:
            # Storage may give the whole row at the next attempt: nothing of it is committed now.
            message = f"{error.message}; row {builder.key[:200]!r} was open and is not counted"
            raise ShardError(error.code, message) from error
        yield builder.finish(shard_broke=True)
        raise
    if builder is not None:
        yield builder.finish()


def count_tar_rows(url: str) -> int | None:
    """Return the number of rows of a whole, local, uncompressed tar by reading headers only; None for any other."""
    try:
        stream = open_local_tar(url)
        if stream is None:
            return None
        with stream:
            grouping = RowGrouping()
            members = read_members(stream, max_member_bytes=0, seek=True)
            return sum(grouping.begins_row(*parts) for member in members if (parts := split_name(member.name)))
    except (ShardError, OSError, ValueError, ImportError):
        return None


def _timed(members: Iterator[TarMember]) -> Iterator[tuple[TarMember, float]]:
    while True:
        started = time.perf_counter()
        member = next(members, None)
        if member is None:
            return
        yield member, (time.perf_counter() - started) * 1e3
