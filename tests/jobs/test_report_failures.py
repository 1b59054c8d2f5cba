from __future__ import annotations

from typing import Any

from jobs.report_failures import EXAMPLES, failure_codes


def test_every_failure_is_counted_and_a_few_are_shown(job: Any) -> None:
    job.commit("a", *(job.failed_row("000000-a", n) for n in range(5)), job.failed_row("000000-a", 5, "empty_image"))
    job.commit_bad_shard("000001-b")
    found = {(code.kind, code.code): code for code in failure_codes(job.ledger)}
    assert {name: code.count for name, code in found.items()} == {
        ("row", "corrupt_image"): 5,
        ("row", "empty_image"): 1,
        ("shard", "truncated"): 1,
    }
    assert [e.id for e in found["row", "corrupt_image"].examples] == [f"000000-a/{n}/0" for n in range(EXAMPLES)]
    assert next(iter(found)) == ("row", "corrupt_image")


def test_a_job_without_failures(job: Any) -> None:
    job.commit_shard("000000-a")
    assert failure_codes(job.ledger) == []
