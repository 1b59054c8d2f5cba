"""What may fail, and what is too much."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.failure_budget import FailureBudget
from pipeline.spec import FailuresConfig


def at_the_end(job: Any, **allowed: Any) -> str | None:
    return FailureBudget(FailuresConfig(**allowed), job.ledger).exceeded(job.plan)


def so_far(job: Any, **allowed: Any) -> str | None:
    return FailureBudget(FailuresConfig(**allowed), job.ledger).exceeded_so_far(job.ledger.progress())


def test_failed_rows_are_allowed_unless_a_share_is_given(finished: Any) -> None:
    assert at_the_end(finished) is None
    assert at_the_end(finished, max_failed_share=0.1) is None
    reason = at_the_end(finished, max_failed_share=0.09)
    assert reason is not None
    assert reason.startswith("1 of 10 rows failed, but failures.max_failed_share is 0.09")


def test_a_share_that_is_met_exactly_is_not_exceeded(job: Any) -> None:
    rows = [(job.failed_row if number < 29 else job.row)("000000-a", number) for number in range(100)]
    job.commit("a1-0-0", *rows, job.end("000000-a", 100))
    assert at_the_end(job, max_failed_share=0.29) is None, "0.29 * 100 is 28.999999999999996"
    assert at_the_end(job, max_failed_share=0.289) is not None


def test_a_reason_has_the_codes_and_the_first_examples(job: Any) -> None:
    rows = [job.failed_row("000000-a", number, "missing_image") for number in range(3)]
    job.commit("a1-0-0", *rows, job.failed_row("000000-a", 3), job.row("000000-a", 4), job.end("000000-a", 5))
    reason = at_the_end(job, max_failed_rows=3)
    assert reason is not None
    assert "4 of 5 rows failed, but failures.max_failed_rows is 3 (missing_image 3, corrupt_image 1; first " in reason
    assert "000000-a/0/0 missing_image: cut" in reason


def test_a_bad_shard_is_too_much_unless_it_is_allowed(job: Any) -> None:
    job.commit_shard("000000-a")
    job.commit_bad_shard("000001-b")
    reason = at_the_end(job)
    assert reason is not None
    assert reason.startswith("1 bad shards, but failures.max_bad_shards is 0")
    assert at_the_end(job, max_bad_shards=1) is None


def test_that_every_row_fails_is_beyond_any_budget(job: Any) -> None:
    for shard_id in ("000000-a", "000001-b"):
        job.commit_shard(shard_id, failed=range(5))
    reason = at_the_end(job, max_failed_share=1.0)
    assert reason is not None
    assert reason.startswith("every one of 10 rows failed")


def test_a_job_without_rows_is_no_failure(job: Any) -> None:
    for shard_id in ("000000-a", "000001-b"):
        job.commit(f"a1-{shard_id}", job.end(shard_id, 0))
    assert at_the_end(job, max_failed_share=0.0) is None


def test_a_running_job_is_not_judged_by_the_share_of_a_few_rows(job: Any) -> None:
    job.commit_shard("000000-a", failed=range(5))
    assert so_far(job, max_failed_share=0.1, share_after_rows=6) is None
    assert so_far(job, max_failed_share=0.1, share_after_rows=5) is not None
    assert so_far(job, share_after_rows=5) is not None, "every row failed"
    assert so_far(job, max_failed_rows=4) is not None, "a number of rows needs no share"
    assert so_far(job, max_failed_rows=5) is None


@pytest.mark.parametrize(("limit", "exceeded"), [(3, True), (4, False)])
def test_rows_that_fail_one_after_the_other_are_seen_across_parts(job: Any, limit: int, exceeded: bool) -> None:
    failed = [job.failed_row("000000-a", number) for number in range(5)]
    job.commit("a1-0", job.row("000000-a", 4), failed[1], failed[0])
    job.commit("a1-1", failed[2], failed[3], job.failed_row("000001-b", 4))
    job.commit("a1-2", job.row("000001-b", 0), job.row("000001-b", 1))
    reason = so_far(job, max_consecutive_failed=limit)
    assert (reason is not None) is exceeded
    if reason:
        assert reason.startswith("rows 0-3 of shard 000000-a all failed, but failures.max_consecutive_failed is 3")
