from __future__ import annotations

import datetime
import io
import json
from typing import Any

import pytest
from rich.console import Console

from jobs.status import status_facts, status_of, status_view
from pipeline.lease_keeper import held_lease


def later(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def test_a_plan_alone_has_neither_total_nor_age(job: Any) -> None:
    status = status_of(job.ledger)
    assert (status.state, status.rows_total, status.last_commit_age_s) == ("planned", None, None)
    assert (status.driver, status.attempts, status.rows_per_s, status.eta_s) == (None, 0, None, None)


def test_the_total_is_estimated_and_the_age_grows(job: Any) -> None:
    job.commit_shard("000000-a")
    status = status_of(job.ledger, now=later(240))
    assert (status.rows_total, status.rows_total_estimated) == (10, True)
    assert status.last_commit_age_s == pytest.approx(240, abs=30)


def test_a_receipt_deleted_after_the_manifest_leaves_rows_missing(finished: Any) -> None:
    finished.ledger.storage.write("run.json", b'{"exit_code": 0}')
    finished.ledger.storage.delete("done/a1-000001-b-0.json")
    status = status_of(finished.ledger)
    assert (status.state, status.summary.rows, status.rows_total) == ("interrupted", 5, 10)


def test_a_running_job_names_its_driver_and_says_how_long_it_will_take(job: Any) -> None:
    for number in range(4):
        job.commit(f"a1-{number}", job.row("000000-a", number))
        job.written_at(f"done/a1-{number}.json", -30 + 10 * number)
    job.commit("a1-4", job.end("000000-a", 5))
    with held_lease(job.ledger.storage, attempt="a1", length_s=60):
        status = status_of(job.ledger)
        text = _text(status)
    assert status.state == "running"
    assert status.rows_per_s == pytest.approx(0.1)
    assert status.eta_s == pytest.approx(60), "6 of some 10 rows are left"
    assert "attempt a1), since 20" in text
    assert "0.10 of late, ~1 min 00 s left" in text
    assert status_of(job.ledger).rows_per_s is None, "nothing runs any more"


def _text(status: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(status_view(status))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_both_views_tell_state_rows_and_age(finished: Any) -> None:
    status = status_of(finished.ledger)
    facts = json.loads(json.dumps(status_facts(status)))
    assert (facts["state"], facts["rows_total"], facts["summary"]["rows"]) == ("finished", 10, 10)
    console = Console(file=io.StringIO(), width=100)
    console.print(status_view(status))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in ("finished: every row is committed exactly once", "10 of 10", "ago", "FLOPs executed"):
        assert expected in text


def test_a_finished_job_over_its_failure_budget_says_so(finished: Any) -> None:
    finished.ledger.storage.write("run.json", b'{"exit_code": 3}')
    status = status_of(finished.ledger)
    assert (status.state, status_facts(status)["exit_code"]) == ("finished", 3)
    assert "3: more rows or shards failed than the settings allow; see 'mue failures'" in _text(status)


def test_a_running_job_has_no_exit_code_of_an_earlier_attempt(job: Any) -> None:
    job.ledger.storage.write("run.json", b'{"exit_code": 75}')
    assert status_of(job.ledger).exit_code == 75
    with held_lease(job.ledger.storage, attempt="a1", length_s=60):
        assert status_of(job.ledger).exit_code is None
