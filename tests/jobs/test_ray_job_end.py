"""A Ray job is stopped where a retry would end the same way, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from jobs.fake_jobs import FakeJobs
from jobs.poison import TooMuchPoison
from jobs.ray_job_end import FINAL, final_errors_stop_it, own_submission_id, stop_it
from jobs.terminal import Terminal
from mue_model.config import ConfigError
from pipeline.exit_codes import ExitCode
from pipeline.lease import LeaseHeld
from pipeline.storage import StorageError


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    """A cluster, and this process as the driver of its job `run-1`."""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": "run-1"}}))
    (tmp_path / "empty").mkdir()
    client = FakeJobs(place=tmp_path)
    client.submit(submission_id="run-1", entrypoint="mue run", folder=tmp_path / "empty", metadata={})
    return client


@pytest.mark.parametrize("error", [ConfigError("exits.imgae"), TooMuchPoison("too much")])
def test_an_error_that_a_new_cluster_cannot_mend_stops_the_job(
    cluster: FakeJobs, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, final_errors_stop_it(Terminal(), lambda: cluster, wait_s=0):
        raise error
    assert ended.value.exit_code in FINAL
    assert cluster.stopped == ["run-1"]
    said = capsys.readouterr().err
    assert str(error) in said
    assert f"exit code {int(ended.value.exit_code)}: another cluster would end the same way" in said


@pytest.mark.parametrize("error", [StorageError("gone"), LeaseHeld("thought alive"), OSError()])
def test_what_a_new_cluster_may_mend_is_left_to_fail(cluster: FakeJobs, error: Exception) -> None:
    with pytest.raises(type(error)), final_errors_stop_it(Terminal(), lambda: cluster, wait_s=0):
        raise error
    assert cluster.stopped == []


def test_a_cluster_that_does_not_stop_it_leaves_the_exit_code(
    cluster: FakeJobs, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.silent = True
    stop_it(ExitCode.USAGE, Terminal(), lambda: cluster, wait_s=0)
    assert "may be run again: no Ray answers" in capsys.readouterr().err


def test_outside_a_ray_job_there_is_nothing_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for config in ("", "{}", '{"metadata": null}'):
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", config)
        assert own_submission_id() is None
    stop_it(ExitCode.USAGE, Terminal(), lambda: FakeJobs(place=tmp_path), wait_s=0)
    assert "this is no Ray job" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "unreached", "stopped"), [(3, False, True), (3, True, False), (0, False, False)])
def test_a_job_over_its_budget_stops_unless_another_attempt_reads_more(
    mue: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, finished: Any, code: int, unreached: bool, stopped: bool
) -> None:
    """Shards whose storage did not answer are read again by the next attempt, which may end well."""
    seen: list[ExitCode] = []
    monkeypatch.setattr("jobs.cli._run", lambda terminal, spec: ExitCode(code))
    monkeypatch.setattr("jobs.cli.stop_it", lambda code, *_: seen.append(code))
    monkeypatch.setattr("jobs.cli.out_of_reach", lambda ledger: ["shard"] if unreached else [])
    assert mue("run", "x.tar", "--output", finished.folder, "--stop-ray-job").exit_code == code
    assert bool(seen) is stopped
