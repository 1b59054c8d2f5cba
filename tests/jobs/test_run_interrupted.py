"""A signal while a job is still being planned: the exit code is that of any other interruption."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

import jobs.retry
import jobs.run
from jobs.progress import ProgressView
from jobs.retry import retry_failed
from jobs.run import run_job
from jobs.run_record import RunRecord
from pipeline.exit_codes import ExitCode
from pipeline.spec import InputsConfig, JobSpec, OutputConfig

SIGNALS = [(signal.SIGTERM, ExitCode.INTERRUPTED), (signal.SIGINT, ExitCode.SIGINT)]


def _spec(output: Path) -> JobSpec:
    return JobSpec(inputs=InputsConfig(urls=("in/a.tar",)), output=OutputConfig(url=str(output)), model="seeded")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_run_that_is_stopped_while_it_plans_says_so_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: ExitCode
) -> None:
    monkeypatch.setattr(jobs.run, "prepare", lambda spec: os.kill(os.getpid(), number))
    handlers = [signal.getsignal(each) for each, _ in SIGNALS]
    outcome = run_job(_spec(tmp_path / "out"), progress=ProgressView("silent"))
    assert outcome.exit_code == code
    assert outcome.reason == f"stopped by {number.name}: 0 rows are committed and stay so; the same command resumes"
    assert not (tmp_path / "out").exists()
    assert [signal.getsignal(each) for each, _ in SIGNALS] == handlers


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_retry_that_is_stopped_while_it_plans_leaves_the_job_as_it_was(
    finished: Any, monkeypatch: pytest.MonkeyPatch, mue: Any, number: signal.Signals, code: ExitCode
) -> None:
    RunRecord(finished.ledger, _spec(finished.folder), "a1")
    finished.finish()
    monkeypatch.setattr(jobs.retry, "prepare", lambda spec: os.kill(os.getpid(), number))
    outcome = retry_failed(str(finished.folder), force=True, progress=ProgressView("silent"))
    assert (outcome.job.exit_code, outcome.rows_wanted) == (code, 0)
    assert finished.ledger.finalized(finished.plan)
    result = mue("retry", finished.folder)
    assert (result.exit_code, "nothing to retry" in result.stderr) == (code, False)
