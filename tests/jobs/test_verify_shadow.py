"""Shadow rows made after the job, by an audit: they count where they are those of its rule, and nothing else does."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.audit_record import AUDIT_SCHEMA, AuditRecord, parts_digest
from jobs.audited_rows import AuditedRows
from jobs.interval import Interval
from jobs.retry import spec_of
from jobs.run_record import RunRecord
from jobs.shadow_estimate import ShadowEstimate, shadow_estimate
from jobs.shadow_sample import shadow_sample
from jobs.verify import Verification, VerifySettings, verify
from jobs.verify_check import Check, Tally
from jobs.verify_shadow import mean_length
from pipeline.actor import ModelActor
from pipeline.actor_audit import ActorAudit, shadow_selection
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.manifest import file_digest
from pipeline.preprocess import DecodeRows
from pipeline.receipts import live
from pipeline.records import COMMIT_SCHEMA
from pipeline.rewrite import FailedRows, PartRewriter
from pipeline.shadow_strata import STRATA
from pipeline.shard_rows import iter_tables
from pipeline.storage import Storage

ATTEMPT = "20260102T000000-abcdef"
RATES = dict.fromkeys(STRATA, 0.6)


@pytest.fixture(scope="module")
def audited(run_here: Callable[..., Ledger], labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job without shadow rows whose audit has found some since. Not to be changed."""
    from jobs.planning import prepare

    output = tmp_path_factory.mktemp("audited") / "out"
    ledger = run_here(output, [str(labelled)])
    job = prepare(spec_of(ledger))
    rule = replace(shadow_selection(ledger.plan()), seed=5, rates=RATES)
    rows = AuditedRows(shadow_sample(ledger, rule, {}).rows)
    audit = ActorAudit(shadows=replace(rule, rates=dict.fromkeys(STRATA, 1.0)), purpose="audit")
    actor = ModelActor(
        job.facts.name, job.facts.digest, job.exits, job.generation, job.spec.engine, ATTEMPT, audit, windows=False
    )
    decode = DecodeRows.of_job(job.spec, job.facts, job.generation)
    for table in iter_tables(str(labelled), "000000-00000", suffixes=("jpg",), max_member_bytes=1 << 20):
        rows.take(actor.answer(decode(table)))
    write_audit(ledger, rows.table(), wanted=rows.wanted)
    return output


def write_audit(ledger: Ledger, table: pa.Table, *, wanted: int, shadowed: int | None = None, **changes: Any) -> None:
    """Leave what an audit leaves, and have the manifest vouch for it."""
    data = io.BytesIO()
    pq.write_table(table, data, compression="zstd")
    record = AuditRecord(
        attempt=ATTEMPT,
        began="2026-01-02T00:00:00+00:00",
        wall_s=1.0,
        fingerprint=ledger.plan().fingerprint,
        parts_digest=parts_digest(ledger),
        seed=5,
        rates=RATES,
        rule_from="audit",
        margin=None,
        margin_from=None,
        rows_selected=wanted,
        rows_shadowed=len(table) if shadowed is None else shadowed,
        rows_reproduced=len(table),
        packages={},
        cores=2,
        shadows=file_digest(data.getvalue()),
    ).model_copy(update=changes)
    ledger.storage.write(record.shadows_path, data.getvalue())
    ledger.storage.write(record.path, record.to_json())
    ledger.finalize(ledger.plan())


def with_other_rows(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Verification:
    """Verify a copy whose audit holds other rows, digests made anew and its counts left as they were."""
    ledger = Ledger(Storage.open(str(folder)))
    rows = pq.read_table(folder / f"audit/{ATTEMPT}.parquet").to_pylist()
    write_audit(ledger, pa.Table.from_pylist(change(rows), schema=AUDIT_SCHEMA), wanted=len(rows), shadowed=len(rows))
    return verify(ledger)


@pytest.fixture
def copy(audited: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(audited, tmp_path / "copy"))


def found_in(verified: Verification) -> str:
    [check] = [check for check in verified.checks if check.name == "shadow_of_audit"]
    return f"{check.verdict}: " + " | ".join(map(str, check.findings))


def test_rows_of_an_audit_stand_in_for_those_of_the_run(audited: Path) -> None:
    verified = verify(Ledger(Storage.open(str(audited))))
    assert found_in(verified) == "pass: "
    assert verified.evidence.level == 3
    [estimated] = [check for check in verified.checks if check.name == "shadow_estimate"]
    assert 3 < estimated.examined < 16


def test_a_result_dropped_from_an_audit(copy: Path) -> None:
    said = found_in(with_other_rows(copy, lambda rows: rows[1:]))
    assert "expected a result at full depth: seed 5" in said


def test_shadows_of_an_audit_are_run_again(audited: Path, copy: Path) -> None:
    def rerun(folder: Path) -> Check:
        found = verify(Ledger(Storage.open(str(folder))), VerifySettings(rerun=16))
        [check] = [check for check in found.checks if check.name == "rerun"]
        return check

    honest = rerun(audited)
    assert honest.verdict == "pass"
    assert ", and 0 shadows" not in honest.notes[-1]

    def other(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"shadow": row["shadow"] | {"text": "a shadow of itself", "agrees": False}} for row in rows]

    with_other_rows(copy, other)
    said = rerun(copy)
    assert said.verdict == "mismatch"
    assert f"audit/{ATTEMPT}.parquet 000000-00000/" in str(said.findings[0])
    assert "'a shadow of itself'" in str(said.findings[0])


def test_a_result_dropped_from_an_audit_and_called_lost(copy: Path) -> None:
    ledger = Ledger(Storage.open(str(copy)))
    rows = pq.read_table(copy / f"audit/{ATTEMPT}.parquet")
    write_audit(ledger, rows.slice(1), wanted=len(rows))
    verified = verify(ledger)
    assert found_in(verified) == "pass: "
    [estimated] = [check for check in verified.checks if check.name == "shadow_estimate"]
    assert estimated.verdict == "not_checked"
    assert "1 selected rows have no result" in estimated.notes[0]
    assert verified.evidence.level == 2

    write_audit(ledger, rows.slice(1), wanted=len(rows) - 1)
    assert f"rows_selected: expected {len(rows)}, as many as seed 5 and its rates select" in found_in(verify(ledger))
    write_audit(ledger, rows, wanted=len(rows), shadowed=len(rows) - 1)
    assert f"rows_shadowed: expected {len(rows)}, as many as are in audit/" in found_in(verify(ledger))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "f" * 64}, "fingerprint: expected "),
        ({"rule_from": "plan"}, "rule_from: expected audit, found plan"),
        ({"margin": 0.5, "margin_from": "plan"}, "margin_from: expected audit, found plan"),
    ],
)
def test_an_audit_that_claims_what_was_not_fixed_before(copy: Path, changes: dict[str, Any], said: str) -> None:
    ledger = Ledger(Storage.open(str(copy)))
    rows = pq.read_table(copy / f"audit/{ATTEMPT}.parquet")
    write_audit(ledger, rows, wanted=len(rows), **changes)
    [check] = [check for check in verify(ledger).checks if check.name == "audit_records"]
    assert check.verdict == "mismatch"
    assert f"audit/{ATTEMPT}.json: {said}" in str(check.findings[0])


def test_an_audit_that_was_repeated_is_said_to_be(copy: Path) -> None:
    ledger = Ledger(Storage.open(str(copy)))
    rows = pq.read_table(copy / f"audit/{ATTEMPT}.parquet")
    later = {"attempt": "20260103T000000-abcdef", "margin": 0.5, "margin_from": "audit"}
    write_audit(ledger, rows, wanted=len(rows), **later)
    verified = verify(ledger)
    assert verified.exit_code == 0
    [estimated] = [check for check in verified.checks if check.name == "shadow_estimate"]
    said = " | ".join(estimated.notes)
    assert "chosen by seed and rates that were given then" in said
    assert "the latest of 2 audits" in said
    assert "declared after the run, with the audit" in said


def test_rows_that_were_retried_since_are_no_mismatch(copy: Path) -> None:
    ledger = Ledger(Storage.open(str(copy)))
    # The job as it was audited: one of the rows had failed.
    audited = pq.read_table(copy / f"audit/{ATTEMPT}.parquet")
    uid = audited["uid"][3].as_py()
    others = audited.filter(pc.not_equal(audited["uid"], uid))
    write_audit(ledger, others, wanted=len(others))
    retry = "20260105T000000-abcdef"
    record = RunRecord(ledger, spec_of(ledger), retry, retries=1)
    [(home, row)] = [
        (receipt, row)
        for receipt in live(ledger.receipts())
        for row in ledger.read_part(receipt).to_pylist()
        if row["uid"] == uid
    ]
    rewriter = PartRewriter(ledger, [FailedRows(home, {uid: 1})], attempt=retry, fingerprint=ledger.plan().fingerprint)
    rewriter.take(pa.Table.from_pylist([row | {"attempt_id": retry}], schema=COMMIT_SCHEMA))
    record.end(ExitCode.OK, rows=1)
    ledger.finalize(ledger.plan())

    verified = verify(ledger)
    assert {check.name for check in verified.checks if check.verdict == "mismatch"} == set()
    [check] = [check for check in verified.checks if check.name == "shadow_of_audit"]
    assert (check.verdict, check.notes) == ("not_checked", ("1 rows were retried since: run 'mue audit run' again",))
    assert (verified.exit_code, verified.evidence.level) == (ExitCode.OK, 2)
    # Run again, the audit has seen all rows.
    write_audit(ledger, audited, wanted=len(audited), attempt="20260106T000000-abcdef")
    assert found_in(verify(ledger)) == "pass: "
    # Where nothing was written since, a later attempt's name excuses nothing.
    write_audit(ledger, others, wanted=len(audited), attempt="20260107T000000-abcdef", rows_shadowed=len(audited))
    assert "rows_shadowed" in found_in(verify(ledger))


def test_a_disagreement_hidden_in_an_audit(copy: Path) -> None:
    def other(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [rows[0] | {"shadow": rows[0]["shadow"] | {"text": "something else", "agrees": True}}, *rows[1:]]

    assert "shadow.agrees: expected False, found True" in found_in(with_other_rows(copy, other))


def test_an_answer_that_was_never_committed(copy: Path) -> None:
    said = found_in(with_other_rows(copy, lambda rows: [rows[0] | {"answer": "another"}, *rows[1:]]))
    assert "answer in audit/" in said


def test_a_shadow_that_left_early(copy: Path) -> None:
    def early(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        layers = rows[0]["shadow"]["layers"]
        return [rows[0] | {"shadow": rows[0]["shadow"] | {"layers": [layers[0] - 1, *layers[1:]]}}, *rows[1:]]

    assert "shadow.layers: expected every layer" in found_in(with_other_rows(copy, early))


def estimate_of(audited: Path, low: float, middle: float, high: float) -> ShadowEstimate:
    found = shadow_estimate(Ledger(Storage.open(str(audited))))
    assert isinstance(found, ShadowEstimate)
    return replace(found, length_ratio=Interval(estimate=middle, low=low, high=high))


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        ((0.95, 1.0, 1.05), "pass"),
        ((0.8, 1.05, 1.4), "pass"),
        ((1.0, 1.15, 1.3), "not_checked"),
        ((1.13, 1.2, 1.3), "mismatch"),
        ((0.5, 0.7, 0.89), "mismatch"),
    ],
)
def test_mean_length_within_ten_percent(audited: Path, ratio: tuple[float, float, float], verdict: str) -> None:
    tally = Tally("mean_length", "")
    mean_length(estimate_of(audited, *ratio), tally)
    assert tally.check().verdict == verdict
