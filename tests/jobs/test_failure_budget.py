"""What may fail, and what is too much."""

from __future__ import annotations

from typing import Any

from jobs.failure_budget import over_budget
from pipeline.spec import FailuresConfig


def test_failed_rows_are_allowed_unless_a_share_is_given(finished: Any) -> None:
    assert over_budget(FailuresConfig(), finished.plan, finished.ledger) is None
    assert over_budget(FailuresConfig(max_failed_share=0.1), finished.plan, finished.ledger) is None
    reason = over_budget(FailuresConfig(max_failed_share=0.09), finished.plan, finished.ledger)
    assert reason is not None
    assert reason.startswith("1 of 10 rows failed, but failures.max_failed_share is 0.09")


def test_a_bad_shard_is_too_much_unless_it_is_allowed(job: Any) -> None:
    job.commit_shard("000000-a")
    job.commit_bad_shard("000001-b")
    reason = over_budget(FailuresConfig(), job.plan, job.ledger)
    assert reason is not None
    assert reason.startswith("1 bad shards, but failures.max_bad_shards is 0")
    assert over_budget(FailuresConfig(max_bad_shards=1), job.plan, job.ledger) is None


def test_that_every_row_fails_is_beyond_any_budget(job: Any) -> None:
    for shard_id in ("000000-a", "000001-b"):
        job.commit_shard(shard_id, failed=range(5))
    reason = over_budget(FailuresConfig(max_failed_share=1.0), job.plan, job.ledger)
    assert reason == "every one of 10 rows failed; see 'mue failures'"


def test_a_job_without_rows_is_no_failure(job: Any) -> None:
    for shard_id in ("000000-a", "000001-b"):
        job.commit(f"a1-{shard_id}", job.end(shard_id, 0))
    assert over_budget(FailuresConfig(max_failed_share=0.0), job.plan, job.ledger) is None
