"""Waiting for a submitted job: its exit code is the driver's, or what the output folder proves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.fake_jobs import FakeJobs
from jobs.jobs_client import ClusterError, ClusterJob, SubmissionUnknown
from jobs.progress import ProgressView
from jobs.submissions import Submission, claim_submission
from jobs.waiting import SILENCE_S, Ended, wait_for

RUNNING = ClusterJob(phase="RUNNING")


class Clock:
    """Time passes by sleeping alone."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(
    job: Any,
    tmp_path: Path,
    *script: ClusterJob,
    silent_after: int | None = None,
    errors: Mapping[int, Exception] | None = None,
    answers_in_s: Mapping[int, float] | None = None,
) -> tuple[Ended, str, Clock]:
    clock = Clock()

    class Cluster(FakeJobs):
        looks = 0

        def job(self, submission_id: str) -> ClusterJob:
            self.looks += 1
            clock.sleep((answers_in_s or {}).get(self.looks, 0.0))
            self.silent = silent_after is not None and self.looks > silent_after
            if errors and self.looks in errors:
                raise errors[self.looks]
            return super().job(submission_id)

    client = Cluster(place=tmp_path / "cluster", script=list(script))
    (tmp_path / "package").mkdir()
    found: Submission = claim_submission(job.ledger.storage, run="a", address=client.address, spec={})
    client.submit(submission_id=found.id, entrypoint="", folder=tmp_path / "package", metadata={})
    shown = io.StringIO()
    view = ProgressView("lines", stream=shown, clock=clock)
    with view:
        ended = wait_for(found, job.ledger, client, view, sleep=clock.sleep, clock=clock)
    return ended, shown.getvalue(), clock


def test_progress_until_the_end(job: Any, tmp_path: Path) -> None:
    job.commit_shard("000000-a")
    ended, shown, clock = wait(
        job, tmp_path, ClusterJob(phase="PENDING"), *[RUNNING] * 8, ClusterJob(phase="SUCCEEDED")
    )
    assert ended.exit_code == 0
    assert "5 of" in shown
    assert clock.now > 10


def test_a_cluster_that_is_slow_to_answer_once_is_asked_again_at_once(job: Any, tmp_path: Path) -> None:
    """Seen on a busy machine: an answer took a minute, and the end of the job was noticed twenty minutes later."""
    ended, _, clock = wait(job, tmp_path, RUNNING, ClusterJob(phase="SUCCEEDED"), answers_in_s={1: 60.0})
    assert ended.exit_code == 0
    assert clock.now < 70


@pytest.mark.parametrize("code", [1, 2, 3, 75])
def test_the_exit_code_is_the_drivers(job: Any, tmp_path: Path, code: int) -> None:
    ended, _, _ = wait(job, tmp_path, RUNNING, ClusterJob(phase="FAILED", exit_code=code))
    assert ended.exit_code == code
    assert "mue logs" in ended.reason


@pytest.mark.parametrize(
    "last",
    [
        ClusterJob(phase="STOPPED"),
        ClusterJob(phase="FAILED", message="the supervisor\ndied"),
        ClusterJob(phase="FAILED", exit_code=-9),
    ],
)
def test_an_end_that_nobody_saw_can_be_resumed(job: Any, tmp_path: Path, last: ClusterJob) -> None:
    ended, _, _ = wait(job, tmp_path, RUNNING, last)
    assert ended.exit_code == 75
    assert "mue resume" in ended.reason


def test_every_row_committed_is_an_end_that_went_well_whoever_saw_it(finished: Any, tmp_path: Path) -> None:
    ended, _, _ = wait(finished, tmp_path, RUNNING, ClusterJob(phase="FAILED", message="the head died"))
    assert ended == Ended(exit_code=0, reason="")


def test_a_cluster_that_is_silent_for_a_moment_is_waited_for_and_one_that_is_gone_is_not(
    job: Any, tmp_path: Path
) -> None:
    ended, _, clock = wait(job, tmp_path, *[RUNNING] * 3, silent_after=3)
    assert ended.exit_code == 75
    assert "no Ray answers" in ended.reason
    assert SILENCE_S < clock.now < 2 * SILENCE_S


def test_a_head_that_comes_back_without_the_job_is_an_end_that_can_be_resumed(job: Any, tmp_path: Path) -> None:
    ended, _, clock = wait(job, tmp_path, RUNNING, errors={3: SubmissionUnknown("http://h:1 knows no job a-1")})
    assert ended.exit_code == 75
    assert "knows no job a-1 any more" in ended.reason
    assert "mue resume" in ended.reason
    assert clock.now < SILENCE_S


def test_what_stands_before_a_head_may_say_for_a_while_that_it_is_not_there(job: Any, tmp_path: Path) -> None:
    error = ClusterError("http://h:1: status code 503")
    ended, _, _ = wait(job, tmp_path, *[RUNNING] * 2, ClusterJob(phase="SUCCEEDED"), errors={2: error, 3: error})
    assert ended.exit_code == 0


def test_but_not_for_ever(job: Any, tmp_path: Path) -> None:
    error = ClusterError("http://h:1: status code 503")
    ended, _, clock = wait(job, tmp_path, RUNNING, errors=dict.fromkeys(range(2, 1000), error))
    assert ended.exit_code == 75
    assert "status code 503; it has said nothing else for 60 s" in ended.reason
    assert SILENCE_S < clock.now < 2 * SILENCE_S
