"""A signal while a job is still being planned: the exit code is that of any other interruption."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import jobs.audit_run
import jobs.retry
import jobs.run
from jobs.audit_run import audit_job
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


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_an_audit_that_is_stopped_while_it_plans_leaves_nothing(
    finished: Any, monkeypatch: pytest.MonkeyPatch, mue: Any, number: signal.Signals, code: ExitCode
) -> None:
    RunRecord(finished.ledger, _spec(finished.folder), "a1")
    finished.finish()
    monkeypatch.setattr(jobs.audit_run, "prepare", lambda spec: os.kill(os.getpid(), number))
    handlers = [signal.getsignal(each) for each, _ in SIGNALS]
    outcome = audit_job(str(finished.folder), progress=ProgressView("silent"))
    told = f"stopped by {number.name}: the audit has left nothing; the same command begins anew"
    assert (outcome.exit_code, outcome.reason, outcome.record) == (code, told, None)
    assert [signal.getsignal(each) for each, _ in SIGNALS] == handlers
    assert finished.ledger.storage.list("audit") == []
    result = mue("audit", "run", finished.folder)
    assert (result.exit_code, told in result.stderr) == (code, True)


def test_an_audit_that_is_stopped_as_it_writes_the_manifest_is_whole(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is there: "left nothing" would be untrue, and without the manifest `mue verify` would refuse it."""
    RunRecord(finished.ledger, _spec(finished.folder), "a1")
    finished.finish()

    def attempted(audit: Any, progress: ProgressView) -> Any:
        audit.ledger.storage.write(f"audit/{audit.attempt}.json", b"{}")
        finalize = audit.ledger.finalize

        def interrupted(plan: Any) -> Any:
            monkeypatch.undo()
            os.kill(os.getpid(), signal.SIGTERM)
            return finalize(plan)

        monkeypatch.setattr(type(audit.ledger), "finalize", lambda ledger, plan: interrupted(plan))
        return "the record"

    job = SimpleNamespace(plan=finished.plan, spec=_spec(finished.folder))
    monkeypatch.setattr(jobs.audit_run, "prepare", lambda spec: job)
    monkeypatch.setattr(jobs.audit_run, "shadow_sample", lambda *_: SimpleNamespace(rows={}))
    monkeypatch.setattr(jobs.audit_run, "_attempted", attempted)
    outcome = audit_job(str(finished.folder), progress=ProgressView("silent"))
    assert (outcome.exit_code, outcome.record) == (ExitCode.OK, "the record")
    assert not finished.ledger.manifest_is_stale()
