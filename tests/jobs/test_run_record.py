"""run.json: how each attempt went."""

from __future__ import annotations

from typing import Any

from jobs.job_folder import run_facts
from jobs.run_record import RunRecord, new_attempt
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
