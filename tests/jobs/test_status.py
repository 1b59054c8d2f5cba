from __future__ import annotations

import datetime
import io
import json
from typing import Any

import pytest
from rich.console import Console

from jobs.status import RECENT_S, status_facts, status_of, status_view


def later(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def test_a_plan_alone_is_planned(job: Any) -> None:
    status = status_of(job.ledger)
    assert (status.state, status.rows_total, status.last_commit_age_s) == ("planned", None, None)


def test_a_fresh_commit_suggests_running_an_old_one_an_interruption(job: Any) -> None:
    job.commit_shard("000000-a")
    assert status_of(job.ledger).state == "running?"
    status = status_of(job.ledger, now=later(RECENT_S + 60))
    assert status.state == "interrupted"
    assert status.rows_total == 10
    assert status.rows_total_estimated
    assert status.last_commit_age_s == pytest.approx(RECENT_S + 60, abs=30)


def test_a_run_that_said_it_was_interrupted_is_believed(job: Any) -> None:
    job.commit_shard("000000-a")
    job.ledger.storage.write("run.json", b'{"exit_code": 75}')
    assert status_of(job.ledger).state == "interrupted"


def test_a_run_that_loads_its_model_is_running_before_its_first_commit(job: Any) -> None:
    began = datetime.datetime.now(datetime.UTC).isoformat()
    job.ledger.storage.write("run.json", json.dumps({"exit_code": None, "attempts": [{"began": began}]}).encode())
    assert status_of(job.ledger).state == "running?"
    assert status_of(job.ledger, now=later(RECENT_S + 60)).state == "interrupted"


def test_a_manifest_means_finished_or_bad(finished: Any, make_job: Any) -> None:
    assert status_of(finished.ledger).state == "finished"
    bad = make_job("bad")
    bad.commit_shard("000000-a")
    bad.commit_bad_shard("000001-b")
    bad.finish()
    assert status_of(bad.ledger).state == "bad"


def test_a_receipt_deleted_after_the_manifest_leaves_rows_missing(finished: Any) -> None:
    finished.ledger.storage.write("run.json", b'{"exit_code": 0}')
    finished.ledger.storage.delete("done/a1-000001-b-0.json")
    status = status_of(finished.ledger)
    assert (status.state, status.summary.rows, status.rows_total) == ("interrupted", 5, 10)


@pytest.mark.parametrize(("began", "state"), [("yesterday", "planned"), (5, "planned"), ("2026-01-01", "interrupted")])
def test_a_strange_start_in_the_run_s_record_is_no_failure(job: Any, began: object, state: str) -> None:
    job.ledger.storage.write("run.json", json.dumps({"attempts": [{"began": began}]}).encode())
    assert status_of(job.ledger).state == state


def test_both_views_tell_state_rows_and_age(finished: Any) -> None:
    status = status_of(finished.ledger)
    facts = json.loads(json.dumps(status_facts(status)))
    assert (facts["state"], facts["rows_total"], facts["summary"]["rows"]) == ("finished", 10, 10)
    console = Console(file=io.StringIO(), width=100)
    console.print(status_view(status))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in ("finished: every row is committed exactly once", "10 of 10", "ago", "FLOPs executed"):
        assert expected in text
