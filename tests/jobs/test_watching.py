"""Watching a job from its folder alone: until nothing works on it any more, and without opening a data file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from jobs.progress import ProgressView
from jobs.watching import pause_after, watch
from pipeline.lease_keeper import held_lease


def _watch(job: Any, sleep: Callable[[float], None]) -> list[dict[str, Any]]:
    """What is shown, one entry a look."""
    stream = io.StringIO()
    with ProgressView("json", every_s=0.0, stream=stream) as view:
        watch(job.ledger, view, every_s=5.0, sleep=sleep)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_finished_job_is_shown_once(finished: Any) -> None:
    [shown] = _watch(finished, lambda seconds: pytest.fail("there is nothing to wait for"))
    assert (shown["rows_done"], shown["rows_total"], shown["failed"], shown["shards_done"]) == (10, 10, 1, 2)


def test_a_running_job_is_watched_until_its_driver_ends(job: Any) -> None:
    pauses = []
    lease = held_lease(job.ledger.storage, attempt="a1", length_s=60)
    lease.__enter__()

    def work(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            job.commit_shard("000000-a", failed=[1, 2])
            (job.folder / "data" / "a1-000000-a-0.parquet").unlink()  # it is not opened
        else:
            lease.__exit__(None, None, None)

    shown = _watch(job, work)
    assert [(entry["rows_done"], entry["failed"], entry["shards_done"]) for entry in shown] == [
        (0, 0, 0),
        (5, 2, 1),
        (5, 2, 1),
    ]
    assert pauses == [5.0, 5.0]


def test_looking_takes_no_more_than_a_twentieth_of_the_time() -> None:
    assert pause_after(0.001, every_s=1.0) == 1.0
    assert pause_after(2.0, every_s=1.0) == 40.0
    assert pause_after(60.0, every_s=1.0) == 60.0, "one slow look must not blind the driver for twenty minutes"


def test_the_command_watches_and_then_says_the_status(mue: Callable[..., Any], finished: Any) -> None:
    result = mue("status", finished.folder, "--watch")
    assert result.exit_code == 0
    assert "10 of 10 rows" in result.stderr
    assert "finished: every row is committed exactly once" in result.stdout
