"""What an output folder alone tells about whether its job runs, and how it ended."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from jobs.commit_times import commit_times
from jobs.job_state import RECENT_S, JobState, state_of
from pipeline.driver_identity import Driver
from pipeline.lease import take_lease
from pipeline.lease_keeper import held_lease


def _state(job: Any, seconds: float = 0.0) -> JobState:
    """The state as it is told so many seconds from now."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    ledger = job.ledger
    return state_of(ledger, job.plan, ledger.progress(), commit_times(ledger).values(), now=now)


def _ended(job: Any, exit_code: int | None, **attempt: Any) -> None:
    document = {"exit_code": exit_code, "attempts": [attempt] if attempt else []}
    job.ledger.storage.write("run.json", json.dumps(document).encode())


def _lease(job: Any, **changes: Any) -> None:
    """A lease that nobody renews any more."""
    take_lease(job.ledger.storage, Driver.this("a1").model_copy(update=changes), length_s=60)


def test_a_plan_alone_is_planned(job: Any) -> None:
    assert _state(job) == JobState(state="planned", driver=None)


def test_a_job_whose_driver_lives_runs_however_quiet_it_is(job: Any) -> None:
    with held_lease(job.ledger.storage, attempt="a7", length_s=60):
        for state in (_state(job), _state(job, 10 * RECENT_S)):
            assert (state.state, state.active) == ("running", True)
            assert state.driver is not None
            assert "(attempt a7), since 20" in state.driver
    assert _state(job) == JobState(state="planned", driver=None)


def test_a_job_whose_driver_died_does_not_run_however_recently_it_committed(job: Any) -> None:
    job.commit_shard("000000-a")
    _lease(job, started="1")
    assert _state(job) == JobState(state="interrupted", driver=None)


def test_a_driver_elsewhere_probably_runs_while_there_are_signs_of_life(job: Any) -> None:
    _lease(job, host="node7")
    state = _state(job)
    assert (state.state, state.active) == ("running?", True), "it renewed its lease a moment ago"
    assert state.driver is not None
    assert "on node7 (attempt a1)" in state.driver
    assert _state(job, RECENT_S + 60).state == "interrupted"


def test_without_a_lease_a_fresh_commit_suggests_running_an_old_one_an_interruption(job: Any) -> None:
    job.commit_shard("000000-a")
    assert _state(job).state == "running?"
    assert _state(job, RECENT_S + 60).state == "interrupted"


def test_a_run_that_loads_its_model_is_running_before_its_first_commit(job: Any) -> None:
    _ended(job, None, began=datetime.datetime.now(datetime.UTC).isoformat())
    assert _state(job).state == "running?"
    assert _state(job, RECENT_S + 60).state == "interrupted"


def test_signs_of_a_time_to_come_do_not_speak_for_life_until_then(job: Any) -> None:
    """A clock that was wrong for a while dates what was written meanwhile."""
    job.commit_shard("000000-a")
    _lease(job, host="node7")
    for path in ("done/a1-000000-a-0.json", "lease/000001.json"):
        job.written_at(path, 365 * 86400.0)
    _ended(job, None, began=(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)).isoformat())
    assert _state(job).state == "interrupted"
    job.written_at("lease/000001.json", 0)
    assert _state(job).state == "running?", "a renewal that is dated well still speaks"


@pytest.mark.parametrize(
    ("exit_code", "state"), [(75, "interrupted"), (130, "interrupted"), (1, "failed"), (2, "failed"), (3, "failed")]
)
def test_a_run_that_said_how_it_ended_is_believed(job: Any, exit_code: int, state: str) -> None:
    job.commit_shard("000000-a")
    _ended(job, exit_code)
    assert _state(job) == JobState(state=state, driver=None)  # type: ignore[arg-type]


def test_a_new_attempt_after_a_failure_runs(job: Any) -> None:
    _ended(job, 1)
    with held_lease(job.ledger.storage, attempt="a2", length_s=60):
        assert _state(job).state == "running"


def test_a_complete_job_is_finished_or_bad_whatever_else_is_said(finished: Any, make_job: Any) -> None:
    _ended(finished, 3)
    assert _state(finished) == JobState(state="finished", driver=None)
    bad = make_job("bad")
    bad.commit_shard("000000-a")
    bad.commit_bad_shard("000001-b")
    bad.finish()
    assert _state(bad).state == "bad"


@pytest.mark.parametrize(("began", "state"), [("yesterday", "planned"), (5, "planned"), ("2026-01-01", "interrupted")])
def test_a_strange_start_in_the_run_s_record_is_no_failure(job: Any, began: object, state: str) -> None:
    _ended(job, None, began=began)
    assert _state(job).state == state


def test_a_job_whose_rows_are_committed_again_after_its_end_is_not_finished(finished: Any) -> None:
    finished.commit("a0-late", *(finished.row("000001-b", number) for number in range(3)))
    assert _state(finished).state == "running?", "without a lease the fresh commit is a sign of life"
    finished.finish()
    assert _state(finished).state == "finished"
