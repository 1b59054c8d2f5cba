from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mue_model.metrics.document_frequency import DocumentFrequency

ROWS = st.lists(st.lists(st.integers(0, 12), max_size=8), min_size=1, max_size=20)
N_ROWS = 100


@given(ROWS, st.integers(1, 5), st.integers(1, 40))
def test_rows_are_counted_whatever_the_chunks_and_merges(rows: list[list[int]], step: int, merge_at: int) -> None:
    frequency = DocumentFrequency(N_ROWS, merge_at=merge_at)
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        row = np.array([index for index, kinds in enumerate(chunk) for _ in kinds], np.int64)
        frequency.add(row, np.array([kind for kinds in chunk for kind in kinds], np.uint64))
    expected = [np.log(N_ROWS / max(1, sum(kind in kinds for kinds in rows))) for kind in range(14)]
    assert frequency.idf(np.arange(14, dtype=np.uint64)) == pytest.approx(expected)


def test_the_ends_of_the_range_of_hashes() -> None:
    ends = np.array([0, 2**64 - 1], np.uint64)
    frequency = DocumentFrequency(4)
    for rows in ([0, 0], [0, 1]):
        frequency.add(np.array(rows, np.int64), ends)
    assert frequency.idf(ends) == pytest.approx(np.log([2, 2]))


def test_nothing_was_seen() -> None:
    frequency = DocumentFrequency(4)
    frequency.add(np.empty(0, np.int64), np.empty(0, np.uint64))
    assert frequency.idf(np.array([7], np.uint64)) == pytest.approx([np.log(4)])
    assert len(frequency.idf(np.empty(0, np.uint64))) == 0
