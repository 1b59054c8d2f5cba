"""run.json: how each attempt went."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.job_folder import run_facts
from jobs.run_record import RunRecord, new_attempt
from mue_model.config import ConfigError
from pipeline.exit_codes import ExitCode
from pipeline.spec import InputsConfig, JobSpec, OutputConfig


def spec_of(job: Any) -> JobSpec:
    return JobSpec(inputs=InputsConfig(urls=("in/a.tar",)), output=OutputConfig(url=str(job.folder)))


def test_an_attempt_is_on_record_from_its_beginning(job: Any) -> None:
    record = RunRecord(job.ledger, spec_of(job), new_attempt())
    [attempt] = run_facts(job.ledger)["attempts"]
    assert attempt["attempt"] == record.attempt
    assert attempt["spec"]["inputs"]["urls"] == ["in/a.tar"]
    assert attempt["packages"]["ray"]
    assert run_facts(job.ledger)["exit_code"] is None


def test_each_attempt_counts_only_its_own_rows(job: Any) -> None:
    first = RunRecord(job.ledger, spec_of(job), new_attempt())
    job.commit_shard("000000-a")
    first.end(ExitCode.INTERRUPTED)
    second = RunRecord(job.ledger, spec_of(job), new_attempt())
    job.commit("a2", job.row("000001-b", 0))
    second.end(ExitCode.OK)

    facts = run_facts(job.ledger)
    assert [(a["attempt"], a["exit_code"], a["rows"]) for a in facts["attempts"]] == [
        (first.attempt, 75, 5),
        (second.attempt, 0, 1),
    ]
    assert (facts["exit_code"], facts["rows"]) == (0, 1)
    assert facts["rows_per_s"] > 0
    assert first.attempt != second.attempt


def test_an_attempt_that_could_not_record_its_end_was_killed(job: Any) -> None:
    assert not RunRecord(job.ledger, spec_of(job), new_attempt()).previous_was_killed, "there was none before"
    second = RunRecord(job.ledger, spec_of(job), new_attempt())
    assert second.previous_was_killed
    second.end(ExitCode.INTERRUPTED)
    assert not RunRecord(job.ledger, spec_of(job), new_attempt()).previous_was_killed


def test_a_retry_counts_the_rows_that_it_ran(job: Any) -> None:
    RunRecord(job.ledger, spec_of(job), new_attempt(), retries=3).end(ExitCode.OK, rows=2)
    facts = run_facts(job.ledger)
    assert (facts["attempts"][-1]["retries"], facts["rows"]) == (3, 2)


def test_a_bad_end_keeps_its_reason_where_nothing_can_be_recorded(job: Any, caplog: pytest.LogCaptureFixture) -> None:
    record = RunRecord(job.ledger, spec_of(job), new_attempt())
    record.end_badly(ConfigError("x"))
    assert run_facts(job.ledger)["exit_code"] == 2
    (job.folder / "run.json").unlink()
    (job.folder / "run.json").mkdir()
    record.end_badly(ConfigError("x"))
    assert "could not be recorded" in caplog.text
