"""Reads a Parquet file into rows: images as bytes, or as paths and URLs. Row groups come one after another.

In memory is one page of each column, not one row group; how large pages are is the writer's choice. A row whose image
is null, empty, too large or cannot be fetched is a failed row; a broken page ends the shard.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.identity import is_local
from pipeline.image_file import PROTOCOLS, ImageFileError, read_image, shown, too_large
from pipeline.parquet_columns import ImageColumns
from pipeline.parquet_file import columns_of, open_parquet, parquet_error
from pipeline.passthrough import Passthrough
from pipeline.raw_row import RawRow
from pipeline.read_ahead import read_ahead
from pipeline.records import ErrorCode, ShardCode
from pipeline.tar_source import ShardError

ROWS_PER_READ = 16
"""Rows that are decoded at a time: few, for an image column is wide."""
IMAGES_AT_A_TIME = 8
"""Images behind paths and URLs that are fetched at a time."""
ASSUMED_BYTES = 1 << 20
"""What an image behind a path counts as when tables are cut: its size is not known before it is fetched, and tables
must be cut in the same places whether or not it is."""
_AHEAD_BYTES = IMAGES_AT_A_TIME * ASSUMED_BYTES
_KEY_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class _Cell:
    """One row's values, and its image where it lies in the file itself."""

    number: int
    values: dict[str, Any]
    image: bytes | None
    path: str | None
    read_ms: float


def parquet_rows(
    url: str, *, column: str | None, suffixes: Sequence[str], max_image_bytes: int, wanted: Callable[[int], bool]
) -> Iterator[RawRow | None]:
    """Yield the file's rows in order; None, and no image is fetched, where `wanted` says so of the row's number.

    Row groups without a wanted row are not read at all.

    Args:
        url: Where the file is; relative paths in it start from its folder.
        column: The image column; None to find it.
        suffixes: Image suffixes, as names that a column of bytes may have.
        max_image_bytes: A larger image gives a failed row.
        wanted: May be called from several threads.

    Raises:
        ShardError: The file is broken, has no image column, or storage failed. Rows before it have been yielded.
    """
    with open_parquet(url) as file:
        columns = columns_of(file, named=column, suffixes=suffixes)
        folder = url.rpartition("/")[0]

        def row(cell: _Cell | None) -> RawRow | None:
            return None if cell is None else _row(cell, columns, folder, max_image_bytes)

        cells = _cells(file, columns, wanted)
        if columns.form == "bytes":
            yield from map(row, cells)
            return
        pairs = read_ahead(
            cells,
            row,
            at_a_time=IMAGES_AT_A_TIME,
            max_bytes=_AHEAD_BYTES,
            size_of=lambda cell: 0 if cell is None else ASSUMED_BYTES if cell.image is None else len(cell.image),
        )
        for _, raw in pairs:
            yield raw


def _cells(file: Any, columns: ImageColumns, wanted: Callable[[int], bool]) -> Iterator[_Cell | None]:
    number = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if not any(wanted(candidate) for candidate in range(number, number + rows)):
            yield from [None] * rows
            number += rows
            continue
        batches = file.iter_batches(ROWS_PER_READ, row_groups=[group], columns=columns.read, use_threads=False)
        for batch, read_ms in _timed(batches, f"row group {group}"):
            for index in range(batch.num_rows):
                yield _cell(number, batch, index, columns, read_ms) if wanted(number) else None
                number += 1
    if number != file.metadata.num_rows:
        message = f"the footer states {file.metadata.num_rows} rows, but the row groups held {number}"
        raise ShardError(ShardCode.BAD_PARQUET, message)


def _timed(batches: Iterator[pa.RecordBatch], where: str) -> Iterator[tuple[pa.RecordBatch, float]]:
    """Yield batches with the milliseconds that each of their rows took."""
    while True:
        started = time.perf_counter()
        try:
            batch = next(batches, None)
        except MemoryError:
            raise
        except Exception as error:  # storage backends raise classes of their own
            raise parquet_error(error, f"reading stopped in {where}") from error
        if batch is None:
            return
        yield batch, (time.perf_counter() - started) * 1e3 / max(1, batch.num_rows)


def _cell(number: int, batch: pa.RecordBatch, index: int, columns: ImageColumns, read_ms: float) -> _Cell:
    values = {name: _value(batch.column(name)[index]) for name in columns.read if name != columns.image}
    image = _value(batch.column(columns.image)[index])
    if columns.form == "struct":
        fields = image if isinstance(image, dict) else {}
        path = fields.get("path")
        return _Cell(number, values, fields.get("bytes"), path if isinstance(path, str) else None, read_ms)
    if columns.form == "path":
        return _Cell(number, values, None, image, read_ms)
    return _Cell(number, values, image, None, read_ms)


def _value(scalar: pa.Scalar) -> Any:
    """A cell as a Python value; text that is not UTF-8, which Parquet does not rule out, with escapes."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _escaped(scalar)
    except (ValueError, OverflowError, ImportError) as error:
        return f"({type(error).__name__}: {error})"  # a date before the year 1, a time zone nobody knows


def _escaped(scalar: pa.Scalar) -> Any:
    kind = scalar.type
    if pa.types.is_struct(kind):
        return {kind.field(place).name: _value(scalar[place]) for place in range(kind.num_fields)}
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_value(value) for value in scalar.values]
    if pa.types.is_dictionary(kind):
        return _value(scalar.value)
    return scalar.cast(pa.large_binary()).as_py().decode("utf-8", "backslashreplace")


def _row(cell: _Cell, columns: ImageColumns, folder: str, max_bytes: int) -> RawRow:
    started = time.perf_counter()
    passthrough = Passthrough()
    for name in columns.passed:
        passthrough.add_value(name, cell.values[name])
    suffix = _suffix(cell.path)
    data, error = None, None
    try:
        data = _image(cell, folder, max_bytes)
    except ImageFileError as failure:
        error = failure
    return RawRow(
        key=_key(cell, columns),
        image=data,
        image_suffix=suffix,
        member_offset=cell.number,
        meta_json=passthrough.to_json(suffix, cell.number),
        read_ms=cell.read_ms + (time.perf_counter() - started) * 1e3,
        error_code=error.code if error else None,
        error_message=str(error).encode("utf-8", "backslashreplace").decode() if error else None,
        planned_bytes=ASSUMED_BYTES if cell.image is None else None,
    )


def _image(cell: _Cell, folder: str, max_bytes: int) -> bytes:
    if cell.image is None:
        if not cell.path:
            raise ImageFileError(ErrorCode.MISSING_IMAGE, f"the image of row {cell.number} is null or an empty path")
        return read_image(_place(cell.path, folder), max_bytes=max_bytes)
    if len(cell.image) > max_bytes:
        raise too_large(f"row {cell.number}", len(cell.image))
    if not cell.image:
        raise ImageFileError(ErrorCode.EMPTY_IMAGE, f"the image of row {cell.number} has zero bytes")
    return cell.image


def _place(path: str, folder: str) -> str:
    """Return where a path in the table leads: URLs and absolute paths as they are, others from the table's folder."""
    if path.startswith("file://"):
        path = "/" + path.removeprefix("file://").lstrip("/")
    if not is_local(path):
        return path
    if path.startswith("/") and not is_local(folder):
        message = (
            f"{shown(path)}: a table on {folder.split('://')[0]}:// cannot name local files; use {', '.join(PROTOCOLS)}"
        )
        raise ImageFileError(ErrorCode.UNREADABLE_IMAGE, message)
    return path if path.startswith("/") else f"{folder}/{path}"


def _key(cell: _Cell, columns: ImageColumns) -> str:
    """The row's own key where the table has one, else the image's path, else the row's number."""
    own = cell.values.get(columns.key) if columns.key else None
    if own is not None:
        return str(own)[:_KEY_SHOWN]
    return cell.path[:_KEY_SHOWN] if cell.path else f"{cell.number:09d}"


def _suffix(path: str | None) -> str | None:
    if not path:
        return None
    name = posixpath.basename(path if is_local(path) else path.split("?", 1)[0].split("#", 1)[0])
    return name.rpartition(".")[2].lower()[:20] if "." in name else None
