from __future__ import annotations

from typing import Any

import pytest

from jobs.run_record import RunRecord
from jobs.scaling_advice import advise, seconds_of
from mue_model.config import ConfigError
from pipeline.control import Scale
from pipeline.spec import ActorsConfig, InputsConfig, JobSpec, OutputConfig


@pytest.fixture
def running(job: Any) -> Any:
    """Two actors; 3 + 3 of 10 rows, three seconds apart: one row a second and of one actor half."""
    spec = JobSpec(
        inputs=InputsConfig(urls=("in/a.tar",)),
        output=OutputConfig(url=str(job.folder)),
        actors=ActorsConfig(min=1, max=2),
    )
    record = RunRecord(job.ledger, spec, "a1")
    job.commit("a1-0000-000000", *[job.row("000000-a", n) for n in range(3)])
    job.commit("a1-0000-000001", *[job.row("000001-b", n) for n in range(3)], job.end("000001-b", 5))
    for number, seconds in enumerate((0, 3)):
        job.written_at(f"done/a1-0000-00000{number}.json", seconds)
    job.record = record
    return job


def test_as_few_actors_as_will_do(running: Any) -> None:
    slow = advise(running.ledger, within_s=100, min_actors=1, max_actors=9)
    assert (slow.actors_now, slow.actors, slow.rows_per_s) == (2, 1, 1.0)
    assert slow.backlog_rows == 4, "the shard without an end is taken to be as long as the other"
    assert advise(running.ledger, within_s=3, min_actors=1, max_actors=9).actors == 3
    assert advise(running.ledger, within_s=1, min_actors=1, max_actors=3).actors == 3


def test_the_actors_of_now_are_those_that_were_asked_for_last(running: Any) -> None:
    running.record.note_scale(Scale(attempt="a1", id="x", min=1, max=4), 1)
    found = advise(running.ledger, within_s=2, min_actors=1, max_actors=64)
    assert (found.actors_now, found.actors) == (4, 8)


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
