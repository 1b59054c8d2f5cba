"""Opens a Parquet shard: its footer, its columns, and its row groups one after another in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.identity import is_local
from pipeline.parquet_columns import ColumnError, ImageColumns, image_columns
from pipeline.records import ShardCode
from pipeline.shard_open import ending_of, open_stored
from pipeline.tar_source import ShardError

PARQUET_SUFFIX = ".parquet"
_COLUMN_BUFFER_BYTES = 1 << 20
"""Bytes of each column that one request fetches; without it a whole column of a row group would be in memory."""


def is_parquet(url: str) -> bool:
    """Return whether a shard is a Parquet file, by its ending."""
    return ending_of(url) == PARQUET_SUFFIX[1:]


@contextmanager
def open_parquet(url: str) -> Iterator[pq.ParquetFile]:
    """Give the opened file.

    Raises:
        ShardError: `unreadable` where storage does not give it, else `bad_parquet`.
    """
    with ExitStack() as stack:
        try:
            # A local file is opened by pyarrow itself; this opening gives its own error where there is none.
            raw = stack.enter_context(open_stored(url, forward_only=False))
            source = url if is_local(url) else pa.PythonFile(raw, mode="r")
            file = stack.enter_context(pq.ParquetFile(source, buffer_size=_COLUMN_BUFFER_BYTES, pre_buffer=False))
        except (ShardError, MemoryError):
            raise
        except Exception as error:  # storage backends raise classes of their own
            raise parquet_error(error, "the file cannot be opened") from error
        yield file


def columns_of(file: pq.ParquetFile, *, named: str | None, suffixes: Sequence[str]) -> ImageColumns:
    """Return what to read of an opened file, or raise `ShardError` with `bad_column`."""
    try:
        return image_columns(file.schema_arrow, named=named, suffixes=suffixes)
    except ColumnError as error:
        raise ShardError(ShardCode.BAD_COLUMN, str(error)) from error


def parquet_error(error: Exception, where: str) -> ShardError:
    """Return a reader's error as the shard's: storage's own, or damage to the file."""
    if isinstance(error, ShardError):
        return error
    broken = isinstance(error, pa.ArrowException) or (isinstance(error, OSError) and error.errno is None)
    code = ShardCode.BAD_PARQUET if broken else ShardCode.UNREADABLE
    return ShardError(code, f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:500]}")
