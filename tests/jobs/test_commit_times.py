from __future__ import annotations

from typing import Any

import pytest

from jobs.commit_times import RATE_WINDOW_S, commit_times, recent_rate, segment_of


def _rate(job: Any) -> float | None:
    return recent_rate(job.ledger, commit_times(job.ledger))


def _commit(job: Any, number: int, rows: int, seconds: float) -> None:
    """Commit rows from `10 * number` on, at such a time of the store's clock."""
    job.commit(f"a1-{number}", *(job.row("000000-a", 10 * number + row) for row in range(rows)))
    job.written_at(f"done/a1-{number}.json", seconds)


def test_one_commit_tells_no_rate(job: Any) -> None:
    assert _rate(job) is None
    _commit(job, 0, 5, -10)
    assert _rate(job) is None


def test_the_rate_is_that_of_the_last_minutes_and_of_one_clock(job: Any) -> None:
    _commit(job, 0, 9, -9000)
    for offset_s in (0, 1e6, -1e6):  # the store's clock may be anywhere
        _commit(job, 1, 3, offset_s - RATE_WINDOW_S + 1)
        _commit(job, 2, 2, offset_s - 100)
        _commit(job, 3, 4, offset_s)
        job.written_at("done/a1-0.json", offset_s - 9000)
        assert _rate(job) == pytest.approx((2 + 4) / (RATE_WINDOW_S - 1))


def test_which_segment_of_an_attempt_committed(job: Any) -> None:
    _commit(job, 0, 1, 0)
    job.commit("20260101T000000-abcdef-0012-000003.r1", job.row("000001-b", 0))
    first, second = sorted(job.ledger.receipts(), key=lambda receipt: len(receipt.id))
    assert (segment_of(first, "a1"), segment_of(first, "a")) == (0, None)
    assert (segment_of(second, "20260101T000000-abcdef"), segment_of(second, "a1")) == (12, None)


def test_compacted_receipts_have_the_time_of_their_file(job: Any) -> None:
    for number in range(3):
        _commit(job, number, 1, -10 * number)
    job.ledger.compact(at_least=2)
    [path] = commit_times(job.ledger)
    assert path.startswith("done/compact/")
    assert _rate(job) is None
