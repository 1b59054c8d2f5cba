"""Requests to a running job: whom they reach, and when they count as obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.run_record import RunRecord
from jobs.steering import cancel, running_attempt, scale
from mue_model.config import ConfigError
from pipeline.control import StopWatch, read_control, request_scale, scale_of
from pipeline.driver_identity import Driver
from pipeline.exit_codes import ExitCode
from pipeline.lease import take_lease
from pipeline.spec import InputsConfig, JobSpec, OutputConfig


class Driving:
    """A driver that does what a test says while somebody waits for it."""

    def __init__(self, job: Any) -> None:
        self.job, self.now = job, 0.0
        spec = JobSpec(inputs=InputsConfig(urls=("in/a.tar",)), output=OutputConfig(url=str(job.folder)))
        self.lease = take_lease(job.ledger.storage, Driver.this("a1"), length_s=60)
        self.record = RunRecord(job.ledger, spec, "a1")
        self.script: Iterator[Any] = iter(())

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        next(self.script, lambda: None)()

    def end(self) -> None:
        self.record.end(ExitCode.INTERRUPTED)
        self.lease.release()

    @property
    def waiting(self) -> dict[str, Any]:
        return {"sleep": self.sleep, "clock": lambda: self.now}


@pytest.fixture
def driving(job: Any) -> Driving:
    return Driving(job)


def test_only_an_attempt_that_runs_can_be_asked(job: Any) -> None:
    assert running_attempt(job.ledger) is None
    assert cancel(job.ledger, wait_s=9).attempt is None
    with pytest.raises(ConfigError, match=r"no job is running.*--actors 2:8"):
        scale(job.ledger, min_actors=2, max_actors=8, wait_s=9)
    assert not job.ledger.storage.exists("control.json")
    driving = Driving(job)
    assert running_attempt(job.ledger) == "a1"
    driving.end()
    assert running_attempt(job.ledger) is None


def test_a_job_is_asked_to_end_and_waited_for(driving: Driving) -> None:
    driving.script = iter([lambda: None, driving.end])
    done = cancel(driving.job.ledger, wait_s=60, **driving.waiting)
    assert (done.attempt, done.ended_s) == ("a1", 1.0)
    assert StopWatch(str(driving.job.folder), "a1").stopped()


def test_a_request_to_end_outlasts_one_for_actors_that_came_in_between(driving: Driving) -> None:
    storage = driving.job.ledger.storage

    def overwrite() -> None:
        storage.delete("control.json")
        request_scale(storage, "a1", min_actors=1, max_actors=1)

    driving.script = iter([overwrite])
    done = cancel(driving.job.ledger, wait_s=2, **driving.waiting)
    assert done.ended_s is None
    assert read_control(storage).stop == "a1"
    with pytest.raises(ConfigError, match="asked to end"):
        scale(driving.job.ledger, min_actors=1, max_actors=1, wait_s=0)


def test_actors_are_in_force_when_the_driver_says_so_and_work_when_they_commit(driving: Driving) -> None:
    ledger = driving.job.ledger

    def heed() -> None:
        asked = scale_of(ledger.storage, "a1")
        assert asked is not None
        assert (asked.min, asked.max) == (2, 8)
        driving.record.note_scale(asked, 3)

    def commit(name: str, shard: str) -> Any:
        rows = [driving.job.row(shard, n) for n in range(5)]
        return lambda: driving.job.commit(name, *rows, driving.job.end(shard, 5))

    # The last part of the segment before is not a sign of the new pool.
    driving.script = iter([heed, commit("a1-0002-000000", "000000-a"), commit("a1-0003-000000", "000001-b")])
    done = scale(ledger, min_actors=2, max_actors=8, wait_s=60, **driving.waiting)
    assert (done.in_force_s, done.first_part_s, done.ended) == (0.5, 1.5, False)


def test_whoever_is_asked_past_is_told_at_once(driving: Driving) -> None:
    storage = driving.job.ledger.storage
    driving.script = iter([lambda: None, lambda: request_scale(storage, "a1", min_actors=1, max_actors=1)])
    done = scale(driving.job.ledger, min_actors=2, max_actors=2, wait_s=60, **driving.waiting)
    assert (done.replaced, done.in_force_s, done.ended) == (True, None, False)
    assert driving.now == 1.0


def test_a_job_that_ends_first_and_one_that_takes_too_long_say_so(driving: Driving) -> None:
    late = scale(driving.job.ledger, min_actors=2, max_actors=2, wait_s=3, **driving.waiting)
    assert (late.in_force_s, late.first_part_s, late.ended) == (None, None, False)
    driving.script = iter([driving.end])
    assert scale(driving.job.ledger, min_actors=2, max_actors=2, wait_s=3, **driving.waiting).ended
