from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.exact_sum import exact_sum

INT64_MAX = 2**63 - 1


def test_a_billion_rows_of_ofa_base_fit() -> None:
    column = pa.chunked_array([pa.array([182_000_000_000] * 1000, pa.int64())] * 1000)
    assert exact_sum(column) * 1000 == 182_000_000_000 * 10**9


def test_empty_and_null_columns_sum_to_zero() -> None:
    assert exact_sum(pa.chunked_array([], pa.int64())) == 0
    assert exact_sum(pa.chunked_array([[None, None]], pa.int64())) == 0


@pytest.mark.parametrize("bound", [2**31 - 1, 2**62, INT64_MAX])
def test_any_column_sums_as_python_integers_do(bound: int) -> None:
    rng = random.Random(bound)
    chunks = [[rng.choice([None, rng.randint(-bound, bound), bound, -bound]) for _ in range(9)] for _ in range(50)]
    expected = sum(value or 0 for chunk in chunks for value in chunk)
    assert exact_sum(pa.chunked_array(chunks, pa.int64())) == expected


def test_one_chunk_that_wraps_int64_does_not() -> None:
    assert exact_sum(pa.chunked_array([[INT64_MAX, INT64_MAX, 5]], pa.int64())) == 2 * INT64_MAX + 5
    assert exact_sum(pa.chunked_array([[-(2**63), -1]], pa.int64())) == -(2**63) - 1


def test_a_billion_rows_are_summed_where_int64_wraps() -> None:
    row = 182_000_000_123
    chunk = pa.array([row] * 1_000_000, pa.int64())
    column = pa.chunked_array([chunk] * 1000)
    assert len(column) == 10**9
    assert exact_sum(column) == row * 10**9 > 2**63
    assert pc.sum(column).as_py() != row * 10**9, "the usual sum wraps and says nothing"
