from __future__ import annotations

from typing import Any

import pytest

from jobs.run_record import RunRecord
from jobs.scaling_advice import advise, seconds_of
from mue_model.config import ConfigError
from pipeline.control import Scale
from pipeline.exit_codes import ExitCode
from pipeline.spec import ActorsConfig, InputsConfig, JobSpec, OutputConfig


@pytest.fixture
def running(job: Any) -> Any:
    """Two actors; a part of 10 rows every 10 seconds: one row a second and of one actor half; 50 of 60 rows."""
    job.record = RunRecord(job.ledger, spec_of(job), "a1")
    for number in range(5):
        shard, first = ("000000-a", 10 * number) if number < 2 else ("000001-b", 10 * number - 20)
        rows = [job.row(shard, first + n, actor="xy"[n % 2]) for n in range(10)]
        end = [job.end("000001-b", 30)] if number == 4 else []
        job.commit(f"a1-0000-{number:06d}", *rows, *end)
        job.written_at(f"done/a1-0000-{number:06d}.json", 10 * number)
    return job


def spec_of(job: Any) -> JobSpec:
    return JobSpec(
        inputs=InputsConfig(urls=("in/a.tar",)),
        output=OutputConfig(url=str(job.folder)),
        actors=ActorsConfig(min=1, max=2),
    )


def commit_in_segment_1(job: Any, numbers: range, actors: int) -> None:
    """A row every two seconds, of one actor after the other."""
    for number in numbers:
        job.commit(f"a1-0001-{number:06d}", job.row("000000-a", 20 + number, actor=f"z{number % actors}"))
        job.written_at(f"done/a1-0001-{number:06d}.json", 60 + 2 * number)


def test_as_few_actors_as_will_do(running: Any) -> None:
    slow = advise(running.ledger, within_s=100, min_actors=1, max_actors=9)
    assert (slow.actors_now, slow.actors, slow.rows_per_s) == (2, 1, 1.0)
    assert slow.backlog_rows == 10, "the shard without an end is taken to be as long as the other"
    assert advise(running.ledger, within_s=7, min_actors=1, max_actors=9).actors == 3
    assert advise(running.ledger, within_s=1, min_actors=1, max_actors=3).actors == 3


def test_the_actors_of_now_are_those_that_were_asked_for_last_and_alone_tell_their_speed(running: Any) -> None:
    running.record.note_scale(Scale(attempt="a1", id="x", min=1, max=64), 1)
    commit_in_segment_1(running, range(3), actors=4)
    found = advise(running.ledger, within_s=5, min_actors=1, max_actors=64)
    assert (found.actors_now, found.actors, found.rows_per_s) == (64, 64, None), "too little to tell: nothing changes"
    commit_in_segment_1(running, range(3, 5), actors=4)
    found = advise(running.ledger, within_s=5, min_actors=1, max_actors=64)
    # Half a row a second, of four actors: however many were asked for, no more are there. Five rows are left.
    assert (found.actors_now, found.actors, found.rows_per_s, found.backlog_rows) == (64, 8, 0.5, 5)
    assert advise(running.ledger, within_s=10, min_actors=1, max_actors=64).actors == 4


def test_fewer_parts_than_actors_tell_no_speed(running: Any) -> None:
    running.record.note_scale(Scale(attempt="a1", id="x", min=5, max=5), 1)
    for number in range(4):
        rows = [running.row("000000-a", 20 + 2 * number + n, actor=f"z{2 * number + n}") for n in range(2)]
        running.commit(f"a1-0001-{number:06d}", *rows)
        running.written_at(f"done/a1-0001-{number:06d}.json", 60 + 2 * number)
    assert advise(running.ledger, within_s=5, min_actors=1, max_actors=64).rows_per_s is None


def test_an_attempt_learns_nothing_from_the_one_before(running: Any) -> None:
    running.record.end(ExitCode.INTERRUPTED)
    RunRecord(running.ledger, spec_of(running), "a2")
    found = advise(running.ledger, within_s=7, min_actors=1, max_actors=9)
    assert (found.actors_now, found.actors, found.rows_per_s) == (2, 2, None)


def test_nothing_is_guessed(job: Any) -> None:
    with pytest.raises(ConfigError, match="not known yet"):
        advise(job.ledger, within_s=1, min_actors=1, max_actors=2)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("30m", 1800), ("2 d", 172800)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0s", "1w"])
def test_no_times(text: str) -> None:
    with pytest.raises(ConfigError, match="--within"):
        seconds_of(text)
