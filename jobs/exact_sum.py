"""Sums of integer columns that are exact at any size: no int64 sum is taken where it could wrap."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_INT64_MAX = 2**63 - 1


def exact_sum(column: pa.ChunkedArray) -> int:
    """Return the sum of an integer column, exact where int64 would wrap; 0 for an empty one."""
    return sum(_chunk_sum(chunk) for chunk in column.chunks)


def _chunk_sum(chunk: pa.Array) -> int:
    values = len(chunk) - chunk.null_count
    if not values:
        return 0
    bounds = pc.min_max(chunk).as_py()
    if max(abs(bounds["min"]), abs(bounds["max"])) * values <= _INT64_MAX:
        return int(pc.sum(chunk).as_py())
    return int(pc.sum(pc.cast(chunk, pa.decimal128(38, 0))).as_py())
