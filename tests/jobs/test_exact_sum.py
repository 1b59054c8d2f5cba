"""Sums beyond 64 bits."""

from __future__ import annotations

import pyarrow as pa

from jobs.exact_sum import exact_sum


def test_a_billion_rows_of_ofa_base_fit() -> None:
    column = pa.chunked_array([pa.array([182_000_000_000] * 1000, pa.int64())] * 1000)
    assert exact_sum(column) * 1000 == 182_000_000_000 * 10**9


def test_empty_and_null_columns_sum_to_zero() -> None:
    assert exact_sum(pa.chunked_array([], pa.int64())) == 0
    assert exact_sum(pa.chunked_array([[None, None]], pa.int64())) == 0
