"""Sums of a column that are exact at any size: at 182 GFLOP a row, int64 wraps at 51 million rows and says nothing."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def exact_sum(column: pa.ChunkedArray) -> int:
    """Return the sum of an integer column, exact where int64 would wrap; 0 for an empty one."""
    total = pc.sum(pc.cast(column, pa.decimal128(38, 0)), min_count=0).as_py()
    return int(total)
