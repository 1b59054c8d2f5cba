"""What an audit leaves is read as it was written, or refused by name; a changed answer takes its finding away."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.audit_record import AUDIT_SCHEMA, AuditRecord, audit_answers, audit_records, audited_rows
from jobs.interval import NotMeasured
from jobs.shadow_estimate import ShadowEstimate, shadow_estimate
from jobs.timing_windows import TimingWindows, timing_windows
from pipeline.manifest import file_digest
from pipeline.receipts import LedgerError
from pipeline.shadow_strata import STRATA

WINDOW = {
    "attempt": "a2", "actor": "x", "number": 0, "first": "exits", "rows": 40, "rows_distinct": 40, "rows_in_flight": 10,
    "exits_s": 7.0, "full_s": 10.0, "drain_s": 1.0, "warm_s": 2.0, "device": "cpu",
}  # fmt: skip


def leave(job: Any, attempt: str, answers: dict[str, str], **changes: Any) -> AuditRecord:
    """Write what an audit of these rows leaves; full depth agrees with all of them."""
    shadow = {"text": "", "n_tokens": 3, "layers": [6, 6, 4], "flops": 1000, "agrees": True}
    rows = [
        {"uid": uid, "stratum": "middle", "answer": answer, "reproduced": True, "shadow": shadow}
        for uid, answer in answers.items()
    ]
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=AUDIT_SCHEMA), data)
    facts: dict[str, Any] = {
        "attempt": attempt, "began": "2026-01-01T00:00:00+00:00", "wall_s": 1.0, "fingerprint": "f",
        "parts_digest": "p",
        "seed": 0, "rates": dict.fromkeys(STRATA, 1.0), "rule_from": "audit", "margin": None, "margin_from": None,
        "rows_selected": len(rows), "rows_shadowed": len(rows), "rows_reproduced": len(rows), "packages": {},
        "cores": 2,
        "shadows": file_digest(data.getvalue()),
    }  # fmt: skip
    record = AuditRecord(**facts | changes)
    job.ledger.storage.write(record.shadows_path, data.getvalue())
    job.ledger.storage.write(record.path, record.to_json())
    return record


def committed(job: Any) -> dict[str, str]:
    return {row["uid"]: row["text"] for table in job.ledger.read_live() for row in table.to_pylist() if row["text"]}


def test_the_latest_audit_counts_and_all_are_read_back(finished: Any) -> None:
    answers = committed(finished)
    first = leave(finished, "20260101T000000-aaaaaa", dict(list(answers.items())[:2]))
    last = leave(finished, "20260102T000000-aaaaaa", answers, windows=(WINDOW, WINDOW))
    assert audit_records(finished.ledger) == [first, last]
    assert set(audited_rows(finished.ledger, last)) == set(answers)
    assert list(audit_answers(finished.ledger)) == [(uid, "", True) for uid in answers]
    found = shadow_estimate(finished.ledger)
    assert isinstance(found, ShadowEstimate)
    assert (found.source, found.attempt, found.shadowed, found.lost) == ("audit", last.attempt, len(answers), 0)
    windows = timing_windows(finished.ledger)
    assert isinstance(windows, TimingWindows)
    assert (windows.source, len(windows.windows), windows.point_ratio) == ("audit", 2, pytest.approx(0.7))


def test_a_row_that_was_given_another_answer_since_is_lost(finished: Any) -> None:
    answers = committed(finished)
    answers[next(iter(answers))] = "what was there before a retry"
    leave(finished, "20260101T000000-aaaaaa", answers)
    found = shadow_estimate(finished.ledger)
    assert isinstance(found, ShadowEstimate)
    assert (found.lost, found.shadowed) == (1, len(answers) - 1)


def test_an_audit_of_windows_alone_says_nothing_about_rows(finished: Any) -> None:
    leave(finished, "20260101T000000-aaaaaa", {}, shadows=None, windows=(WINDOW,))
    assert isinstance(shadow_estimate(finished.ledger), NotMeasured)
    assert list(audit_answers(finished.ledger)) == []
    assert isinstance(timing_windows(finished.ledger), TimingWindows)


def test_files_that_no_audit_wrote_are_refused_by_name(finished: Any) -> None:
    record = leave(finished, "20260101T000000-aaaaaa", committed(finished))
    path = finished.folder / record.shadows_path
    other = leave(finished, "20260102T000000-aaaaaa", {})
    path.write_bytes((finished.folder / other.shadows_path).read_bytes())
    with pytest.raises(LedgerError, match=r"aaaaaa\.parquet is not the file that the audit wrote"):
        audited_rows(finished.ledger, record)
    path.unlink()
    with pytest.raises(LedgerError, match=r"aaaaaa\.parquet cannot be read"):
        audited_rows(finished.ledger, record)
    finished.ledger.storage.write("audit/notes.json", b"{}")
    with pytest.raises(LedgerError, match=r"audit/notes.json.*no record of an audit"):
        audit_records(finished.ledger)
