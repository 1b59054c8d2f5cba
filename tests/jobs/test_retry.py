"""Which rows a retry takes; that it runs them is tested in `tests/integration/test_retry.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import jobs.retry
from jobs.planning import prepare
from jobs.progress import ProgressView
from jobs.retry import chosen_codes, retry_failed, spec_of, with_planned_inputs
from jobs.run_record import RunRecord, new_attempt
from mue_model.config import ConfigError
from pipeline.ledger import Ledger
from pipeline.records import COMMIT_SCHEMA, ErrorCode
from pipeline.rewrite import PartRewriter
from pipeline.segment_failure import SegmentFailed
from pipeline.spec import InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage


def test_failures_that_follow_from_the_row_itself_are_left_alone_unless_forced() -> None:
    assert chosen_codes([], force=False) == {"unreadable_image", "model_error", "nonfinite", "out_of_memory", "poison"}
    assert chosen_codes([], force=True) == {code.value for code in ErrorCode}
    assert chosen_codes(["poison", "corrupt_image"], force=False) == {"poison"}
    assert chosen_codes(["corrupt_image"], force=True) == {"corrupt_image"}


@pytest.mark.parametrize(
    ("code", "said"),
    [("poisn", "did you mean 'poison'"), ("corrupt_image", "add --force"), ("truncated", "unknown code")],
)
def test_codes_that_choose_nothing_are_refused(code: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chosen_codes([code], force=False)


def test_the_settings_are_those_of_the_last_attempt_in_the_folder_as_it_is_called_now(job: Any) -> None:
    with pytest.raises(ConfigError, match="no attempt has recorded its settings"):
        spec_of(job.ledger)
    spec = JobSpec(inputs=InputsConfig(urls=("in/a.tar",)), output=OutputConfig(url="as/it/was"), model="seeded")
    RunRecord(job.ledger, spec, new_attempt())
    found = spec_of(job.ledger)
    assert found.output.url == str(job.folder)
    assert found.model_copy(update={"output": spec.output}) == spec


def test_inputs_and_model_are_found_from_any_directory(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = JobSpec(inputs=InputsConfig(urls=("in/*.tar",)), output=OutputConfig(url="out"), model="models/mine")
    RunRecord(job.ledger, spec, new_attempt())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    found = with_planned_inputs(spec_of(job.ledger), job.plan)

    assert found.model == str(tmp_path / "models" / "mine")
    assert found.inputs.urls == ("in/000000-a.tar", "in/000001-b.tar"), "as the plan says, whose paths are absolute"


def test_a_retry_that_fails_leaves_what_it_answered_and_a_manifest_that_knows_it(
    job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    spec = JobSpec(inputs=InputsConfig(urls=(str(tmp_path / "a.tar"),)), output=OutputConfig(url=str(tmp_path / "o")))
    plan = prepare(spec.model_copy(update={"model": "seeded"})).plan
    ledger = Ledger(Storage.open(spec.output.url))
    ledger.adopt_plan(plan)
    shard_id, fingerprint = plan.shards[0].shard_id, plan.fingerprint
    rows = [job.failed_row(shard_id, 0, code="poison"), job.failed_row(shard_id, 1, code="poison")]
    table = pa.Table.from_pylist([*rows, job.end(shard_id, 2)], schema=COMMIT_SCHEMA)
    ledger.commit(table, name="a1-0", attempt="a1", fingerprint=fingerprint)
    RunRecord(ledger, spec.model_copy(update={"model": "seeded"}), "a1")
    ledger.finalize(plan)

    def run(*arguments: Any) -> None:
        rewriter = next(argument for argument in arguments if isinstance(argument, PartRewriter))
        rewriter.take(pa.Table.from_pylist([job.row(shard_id, 1, text="well")], schema=COMMIT_SCHEMA))
        raise SegmentFailed("the actor could not start", died=False)

    monkeypatch.setattr(jobs.retry, "_run", run)
    with pytest.raises(SegmentFailed):
        retry_failed(spec.output.url, force=False, progress=ProgressView("silent"))
    assert [row["text"] for table in ledger.read_live() for row in table.to_pylist()] == [None, "well"]
    assert ledger.finalized(plan)
    assert not ledger.manifest_is_stale()
