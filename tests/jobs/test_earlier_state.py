"""A report of an earlier state fails, but not as a forged one does: that state is shown, and is no hiding place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.footprint_factors import FootprintFactors
from jobs.report import write_report
from jobs.run_record import RunRecord, new_attempt
from jobs.verify import Verification, verify
from pipeline.canonical_json import canonical_json
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.manifest import file_digest
from pipeline.receipts import Receipt
from pipeline.records import COMMIT_SCHEMA
from pipeline.rewrite import PartRewriter, failed_rows
from pipeline.spec import JobSpec
from pipeline.storage import Storage

REPORT = "report/report.json"
THEN = "report/manifest.json"


def ledger_of(folder: Path) -> Ledger:
    return Ledger(Storage.open(str(folder)))


def retried(folder: Path) -> None:
    """Answer the row that had failed, as `mue retry` does."""
    ledger = ledger_of(folder)
    wanted = failed_rows(ledger, frozenset({"model_error"}))
    spec = json.loads((folder / "run.json").read_bytes())["attempts"][-1]["spec"]
    record = RunRecord(ledger, JobSpec.model_validate(spec), new_attempt(), retries=1)
    rewriter = PartRewriter(ledger, wanted, attempt=record.attempt, fingerprint=ledger.plan().fingerprint)
    answer = json.loads((folder / "answer.json").read_text()) | {"attempt_id": record.attempt}
    rewriter.take(pa.Table.from_pylist([answer], schema=COMMIT_SCHEMA))
    assert sum(rewriter.done.values()) == 1
    (folder / "answer.json").unlink()
    record.end(ExitCode.OK, rows=1)
    ledger.finalize(ledger.plan())


@pytest.fixture(scope="module")
def reported_before(tmp_path_factory: pytest.TempPathFactory, run_here: Any, labelled: Path) -> Path:
    """A job with a row that failed at the model, with its report. Not to be changed."""
    folder = tmp_path_factory.mktemp("failed") / "out"
    ledger = run_here(folder, [str(labelled)])
    receipt = ledger.receipts()[0]
    rows = ledger.read_part(receipt).to_pylist()
    (folder / "answer.json").write_text(
        json.dumps({name: rows[1][name] for name in COMMIT_SCHEMA.names if name in rows[1]})
    )
    gone = ("text", "label", "finish_reason", "n_tokens", "tokens", "decoder_layers_run", "flops_executed")
    failed = {"status": "failed", "error_stage": "infer", "error_code": "model_error", "error_message": "no luck"}
    rows[1] |= dict.fromkeys(gone) | failed
    ranges = [(None, shard, stop) for shard, stop in receipt.totals.items()]
    assert not ranges, "the first part holds no end of a shard"
    for path in (receipt.part.path, f"done/{receipt.id}.json"):
        ledger.storage.delete(path)
    ledger = ledger_of(folder)
    table = pa.Table.from_pylist([{name: row.get(name) for name in COMMIT_SCHEMA.names} for row in rows], COMMIT_SCHEMA)
    ledger.commit(table, name=receipt.id, attempt=receipt.attempt, fingerprint=ledger.plan().fingerprint)
    ledger.finalize(ledger.plan())
    write_report(ledger, FootprintFactors(), pictures=False)
    assert verify(ledger).exit_code is ExitCode.OK
    return folder


@pytest.fixture
def stale(reported_before: Path, tmp_path: Path) -> Path:
    """The same after a retry, with the report of before."""
    folder = Path(shutil.copytree(reported_before, tmp_path / "out"))
    retried(folder)
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], None], path: str = REPORT) -> None:
    document = json.loads((folder / path).read_bytes())
    change(document)
    (folder / path).write_bytes(canonical_json(document, indent=1))


def said(found: Verification) -> str:
    return " | ".join(str(finding) for check in found.checks if check.name == "report" for finding in check.findings)


def mismatches(found: Verification) -> set[str]:
    return {check.name for check in found.checks if check.verdict == "mismatch"}


def test_a_report_from_before_a_retry_is_missing_and_not_forged(stale: Path) -> None:
    found = verify(ledger_of(stale))
    assert mismatches(found) == set()
    assert found.exit_code is ExitCode.EVIDENCE_MISSING
    assert "expected a report of this folder as it is now (16 rows ok" in said(found)
    assert "found one of an earlier state of it (15 rows ok" in said(found)
    assert "'mue report OUT' writes it anew" in said(found)
    assert found.evidence.level == 2, "what the folder itself shows"

    write_report(ledger_of(stale), FootprintFactors(), pictures=False)
    assert verify(ledger_of(stale)).exit_code is ExitCode.OK


@pytest.mark.parametrize(
    ("part", "name"), [("headline", "flops_executed"), ("headline", "rows_ok"), ("savings", "counted_on_the_machine")]
)
def test_a_forged_figure_is_no_better_for_being_old(stale: Path, part: str, name: str) -> None:
    def forge(document: dict[str, Any]) -> None:
        document[part][name] = type(document[part][name])(int(document[part][name]) - 1)

    edit(stale, forge)
    found = verify(ledger_of(stale))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"{REPORT}: {part}.{name}: expected " in said(found)


@pytest.mark.parametrize("claimed", [None, "0" * 64])
def test_a_state_that_nothing_shows_is_no_excuse(stale: Path, claimed: str | None) -> None:
    edit(stale, lambda document: document["provenance"].update(manifest_sha256=claimed))
    found = verify(ledger_of(stale))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"{REPORT}: provenance.manifest_sha256: expected " in said(found)
    assert f"{REPORT}: headline.rows_ok: expected 16, found 15" in said(found)


def test_a_state_whose_manifest_is_gone_is_no_excuse(stale: Path) -> None:
    (stale / THEN).unlink()
    found = verify(ledger_of(stale))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"there is no {THEN}" in said(found)


def test_a_forged_report_of_now_cannot_be_called_old(reported_before: Path, tmp_path: Path) -> None:
    """The manifest of then is that of now but for a part that is left out, with the report made to fit."""
    folder = Path(shutil.copytree(reported_before, tmp_path / "out"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    left_out = manifest["parts"].pop()
    del manifest["files"][f"done/{Path(left_out['path']).stem}.json"]
    manifest["rows"] -= left_out["rows"]
    data = canonical_json(manifest, indent=1)
    (folder / THEN).write_bytes(data)
    edit(folder, lambda document: document["provenance"].update(manifest_sha256=file_digest(data).sha256))
    found = verify(ledger_of(folder))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"{THEN}: tiling: expected an earlier state of this folder, whole, found shard 000000-00000" in said(found)


def test_a_run_record_that_never_was_is_no_earlier_state(stale: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["attempts"][0]["wall_s"] = 1.0

    edit(stale, change, "run.json")
    ledger_of(stale).finalize(ledger_of(stale).plan())
    found = verify(ledger_of(stale))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"{THEN}: digests: " in said(found) or f"{THEN}: documents: " in said(found)


def test_receipts_that_were_compacted_since_are_found(stale: Path) -> None:
    ledger = ledger_of(stale)
    ledger.receipts()
    assert ledger.compact(at_least=2) > 2
    ledger.finalize(ledger.plan())
    found = verify(ledger_of(stale))
    assert (mismatches(found), found.exit_code) == (set(), ExitCode.EVIDENCE_MISSING)


def test_a_replaced_part_that_was_edited_is_no_earlier_state(stale: Path) -> None:
    [path] = [path for receipt in ledger_of(stale).receipts() for path in receipt.replaces]
    (stale / path).write_bytes((stale / path).read_bytes()[:-1])
    found = verify(ledger_of(stale))
    assert found.exit_code is ExitCode.MISMATCH
    assert path in said(found)


def test_a_report_from_before_an_audit_is_of_an_earlier_state(reported_before: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(reported_before, tmp_path / "out"))
    ledger = ledger_of(folder)
    [path] = ledger.storage.list("metrics")
    lines = ledger.storage.read(path).replace(b'"purpose": "run"', b'"purpose": "audit"')
    ledger.storage.write("metrics/later.jsonl", lines)
    ledger.finalize(ledger.plan())
    found = verify(ledger)
    assert (mismatches(found), found.exit_code) == (set(), ExitCode.EVIDENCE_MISSING)
    assert "found one of an earlier state of it (15 rows ok" in said(found)


def test_nothing_is_written_into_the_past(stale: Path) -> None:
    from jobs.earlier_state import earlier_state
    from jobs.verify_folder import read_folder

    claimed = json.loads((stale / REPORT).read_bytes())["provenance"]["manifest_sha256"]
    then = earlier_state(read_folder(ledger_of(stale)), claimed)
    before = sorted(path.name for path in stale.rglob("*"))
    for work in (
        lambda: then.storage.write("a", b""),
        lambda: then.storage.create("a", b""),
        lambda: then.storage.delete("plan.json"),
    ):
        with pytest.raises(Exception, match="read-only"):
            work()
    assert sorted(path.name for path in stale.rglob("*")) == before
    assert all(isinstance(receipt, Receipt) for receipt in then.receipts())
    assert len(then.receipts()) == len(ledger_of(stale).receipts()) - 1
