"""Damage done to real output folders, found, mended, and computed anew."""

from __future__ import annotations

import io
import os
import time
from typing import Any

import pytest
from rich.console import Console

from jobs.repair import examine, findings_facts, findings_view, mend
from jobs.status import status_of
from jobs.verify import VerifySettings, verify
from pipeline.interrupting_folder import Killed, interrupting
from pipeline.lease import LeaseHeld
from pipeline.lease_keeper import held_lease
from pipeline.ledger import MANIFEST, Ledger
from pipeline.storage import StorageError

A, B = "000000-a", "000001-b"
PART_A, PART_B = f"data/a1-{A}-0.parquet", f"data/a1-{B}-0.parquet"


def _text(findings: Any, **told: bool) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(findings_view(findings, **told))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def _flip(job: Any, path: str) -> None:
    """Change one byte and nothing else."""
    data = job.ledger.storage.read(path)
    job.ledger.storage.write(path, data[:60] + bytes([data[60] ^ 1]) + data[61:])


def _texts(ledger: Ledger) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table in ledger.read_live(["uid", "text"]):
        for row in table.to_pylist():
            found.setdefault(row["uid"], []).append(row["text"])
    return found


def _files(job: Any) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}


def test_a_sound_folder_is_said_to_be_sound_and_stays_as_it_is(finished: Any) -> None:
    before = _files(finished)
    findings = examine(finished.ledger, read_bytes=True)
    assert (findings.sound, findings.parts, findings.orphans) == (True, 2, ())
    assert "sound: every committed row is there, and once" in _text(findings, mended=False, orphans_deleted=False)
    assert _files(finished) == before
    mend(finished.ledger, read_bytes=True, delete_orphans=True)
    assert {path: data for path, data in _files(finished).items() if "/lease/" not in path} == before


def test_one_flipped_byte_is_found_and_its_rows_alone_are_computed_again(finished: Any) -> None:
    ledger, whole = finished.ledger, _texts(finished.ledger)
    _flip(finished, PART_B)
    assert examine(ledger, read_bytes=False).sound, "its size is right"

    findings = examine(ledger, read_bytes=True)
    assert [(damage.path, damage.receipt.id) for damage in findings.damaged] == [(PART_B, f"a1-{B}-0")]
    assert (findings.sound, findings.rows_lost) == (False, 5)
    text = _text(findings, mended=False, orphans_deleted=False)
    assert "1: --apply withdraws them, and the next 'mue run' computes their 5 input rows again" in text
    assert f"{PART_B} has other bytes than were committed" in text

    mend(ledger, read_bytes=True, delete_orphans=False)
    assert not ledger.storage.exists(MANIFEST), "it vouched for what is gone"
    assert status_of(ledger).state == "interrupted"
    assert examine(ledger, read_bytes=True).sound
    progress = ledger.progress()
    assert progress.unfinished(finished.plan) == {B: []}
    assert progress.of(B).total == 5, "what was known of the shard's end stays known"

    finished.commit("a2-0", *(finished.row(B, number) for number in range(5)))
    finished.finish()
    assert _texts(ledger) == whole
    assert ledger.finalized(finished.plan)


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_missing_and_cut_parts_are_found_by_their_size(finished: Any, damage: str) -> None:
    if damage == "missing":
        finished.ledger.storage.delete(PART_A)
    else:
        finished.ledger.storage.write(PART_A, b"PAR1")
    for read_bytes in (False, True):
        [found] = examine(finished.ledger, read_bytes=read_bytes).damaged
        assert found.path == PART_A
        assert ("is missing" if damage == "missing" else "has 4 bytes") in found.what


def test_a_damaged_part_that_overlaps_does_not_get_in_the_way(job: Any) -> None:
    job.commit_shard(A)
    job.commit("b", *(job.row(A, number, text="rival") for number in range(3, 5)))
    _flip(job, "data/b.parquet")
    findings = mend(job.ledger, read_bytes=True, delete_orphans=False)
    assert (len(findings.damaged), findings.rows_twice) == (1, 2)
    assert all(texts == [f"a picture of\t{uid.split('/')[1]}"] for uid, texts in _texts(job.ledger).items())
    assert job.ledger.progress().of(A).finished


def test_rows_in_two_parts_stay_in_the_earlier_one(job: Any) -> None:
    job.commit_shard(A)
    job.commit("b", *(job.row(A, number, text="rival") for number in range(3, 5)))
    findings = examine(job.ledger, read_bytes=True)
    assert (findings.rows_twice, findings.damaged) == (2, ())
    facts = findings_facts(findings, mended=False, orphans_deleted=False)
    assert facts["overlaps"] == [{"shard_id": A, "rows": [[3, 5]], "keeper": f"a1-{A}-0", "loser": "b"}]
    mend(job.ledger, read_bytes=True, delete_orphans=False)
    assert examine(job.ledger, read_bytes=True).sound
    assert "rival" not in str(_texts(job.ledger))


def test_files_without_a_receipt_are_deleted_only_when_asked(finished: Any) -> None:
    storage, whole = finished.ledger.storage, _texts(finished.ledger)
    storage.write("data/orphan.parquet", b"x")
    findings = mend(finished.ledger, read_bytes=True, delete_orphans=False)
    assert findings.orphans == ("data/orphan.parquet",)
    assert findings.sound, "they do no harm"
    assert storage.exists("data/orphan.parquet")
    assert "harmless" in _text(findings, mended=True, orphans_deleted=False)
    finished.written_at("data/orphan.parquet", -3600)
    mend(finished.ledger, read_bytes=True, delete_orphans=True)
    assert storage.list("data") == [PART_A, PART_B]
    assert _texts(finished.ledger) == whole
    assert finished.ledger.finalized(finished.plan)


def test_a_part_that_a_process_may_still_commit_is_not_deleted(job: Any) -> None:
    """Its driver has died, it has not yet: the receipt comes after `--delete-orphans` looked."""
    storage = job.ledger.storage
    job.commit_shard(A)
    job.commit_shard(B)
    receipt = storage.read(f"done/a1-{B}-0.json")
    storage.delete(f"done/a1-{B}-0.json")
    storage.write("data/old.parquet", b"x")
    job.written_at("data/old.parquet", -3600)

    findings = mend(job.ledger, read_bytes=True, delete_orphans=True)

    assert (findings.orphans, findings.orphans_kept) == ((PART_B, "data/old.parquet"), (PART_B,))
    assert "2: 1 deleted; 1 not older than 10 minutes kept, as a process" in _text(
        findings, mended=True, orphans_deleted=True
    )
    assert findings_facts(findings, mended=True, orphans_deleted=True)["orphans_kept"] == [PART_B]
    assert storage.create(f"done/a1-{B}-0.json", receipt)
    job.finish()
    assert len(_texts(job.ledger)) == 10


def test_an_orphan_s_age_is_told_by_the_store_s_clock(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    finished.ledger.storage.write("data/young.parquet", b"x")
    monkeypatch.setattr("time.time", lambda: finished.laid_out + 365 * 86400.0)
    findings = mend(finished.ledger, read_bytes=False, delete_orphans=True)
    assert findings.orphans_kept == ("data/young.parquet",)


def test_a_replaced_part_is_no_orphan(job: Any) -> None:
    job.commit_shard(A)
    job.commit("b", job.row(A, 0))
    job.ledger.repair()
    assert examine(job.ledger, read_bytes=True).orphans == ()


def test_a_part_that_a_killed_repair_left_is_committed_by_the_next_one_and_not_deleted(job: Any) -> None:
    job.commit_shard(A)
    job.commit("b", job.row(A, 4, text="rival"), job.row(B, 0))
    with pytest.raises(Killed):
        mend(Ledger(interrupting(job.ledger.storage, at=2, moment="before")), read_bytes=True, delete_orphans=True)
    assert examine(job.ledger, read_bytes=True).orphans == ("data/b.r1.parquet",), "killed between part and receipt"
    _let_in(job)

    mend(job.ledger, read_bytes=True, delete_orphans=True)
    assert examine(job.ledger, read_bytes=True).sound
    assert _texts(job.ledger)[f"{B}/0/0"] == ["a picture of\t0"]
    assert job.ledger.storage.exists("data/b.r1.parquet")


@pytest.mark.parametrize("left", ["metrics/a9-killed.jsonl", "run.json"])
def test_a_manifest_that_a_killed_audit_or_retry_left_behind_is_said_to_be_stale_and_written_anew(
    finished: Any, left: str
) -> None:
    finished.ledger.storage.write("run.json", b'{"attempts": []}')
    finished.finish()
    finished.ledger.storage.write(left, b"{}")
    found = verify(finished.ledger, VerifySettings())
    assert "'mue repair OUT --apply' writes the manifest anew" in str([check.findings for check in found.checks])
    findings = examine(finished.ledger, read_bytes=True)
    assert (findings.sound, findings.stale_manifest) == (True, True)
    assert "--apply writes it anew" in _text(findings, mended=False, orphans_deleted=False)
    mend(finished.ledger, read_bytes=True, delete_orphans=False)
    assert not examine(finished.ledger, read_bytes=True).stale_manifest
    verdicts = {check.name: check.verdict for check in verify(finished.ledger, VerifySettings()).checks}
    assert (verdicts["digests"], verdicts["no_extra_files"]) == ("pass", "pass")


def test_nothing_is_mended_under_a_running_job(finished: Any) -> None:
    finished.ledger.storage.write("data/about-to-be-committed.parquet", b"x")
    with held_lease(finished.ledger.storage, attempt="a9", length_s=60):
        with pytest.raises(LeaseHeld):
            mend(finished.ledger, read_bytes=True, delete_orphans=True)
        assert examine(finished.ledger, read_bytes=True).sound, "looking is allowed"
    assert finished.ledger.storage.exists("data/about-to-be-committed.parquet")


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "disk-full"])
@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_a_failure_at_any_write_can_be_repeated(
    make_job: Any, moment: Any, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    raised = []
    for at in range(8):
        job = make_job(f"out{at}")
        job.commit_shard(A)
        job.commit_shard(B)
        job.finish()
        whole = _texts(job.ledger)
        job.commit("b", *(job.row(A, number, text="rival") for number in range(3, 5)))
        _flip(job, PART_B)
        job.ledger.storage.write("data/orphan.parquet", b"x")
        job.written_at("data/orphan.parquet", -3600)
        failing = Ledger(interrupting(job.ledger.storage, at=at, moment=moment, killed=killed))
        try:
            mend(failing, read_bytes=True, delete_orphans=True)
        except (Killed, StorageError):
            raised.append(at)
        _let_in(job)
        mend(job.ledger, read_bytes=True, delete_orphans=True)
        assert {PART_A, PART_B} <= set(job.ledger.storage.list("data"))
        assert examine(job.ledger, read_bytes=True).orphans == ()
        job.commit("a2-0", *(job.row(B, number) for number in range(5)))
        job.finish()
        assert _texts(job.ledger) == whole
    # The last two give the lease back: that this fails is no harm.
    assert raised == list(range(7 if killed else 5)), "every single write failed once"


def _let_in(job: Any) -> None:
    """The failed attempt was made by this very process, which goes on: its lease must be taken from it."""
    for path in job.ledger.storage.list("lease"):
        job.ledger.storage.delete(path)


def test_what_a_killed_writer_left_is_named_and_cleared_away_once_it_is_nobody_s(finished: Any) -> None:
    left, fresh, foreign = (finished.folder / "data" / name for name in (f".tmp-{1:032x}", f".tmp-{2:032x}", ".tmp-me"))
    for path in (left, fresh, foreign):
        path.write_bytes(b"half")
    for path in (left, foreign):
        os.utime(path, (time.time() - 3600,) * 2)

    findings = examine(finished.ledger, read_bytes=False)

    assert [write.path for write in findings.unfinished] == [f"data/{left.name}", f"data/{fresh.name}"]
    assert (findings.sound, findings.orphans) == (True, ())
    text = _text(findings, mended=False, orphans_deleted=False)
    assert "2 of 8 bytes in all; 1 older than 10 minutes: --apply deletes them" in text
    assert f"data/{left.name} was never finished" in text
    assert findings_facts(findings, mended=False, orphans_deleted=False)["left_behind"] == [f"data/{left.name}"]
    assert left.exists(), "looking changes nothing"

    mend(finished.ledger, read_bytes=False, delete_orphans=True)
    assert [path.exists() for path in (left, fresh, foreign)] == [False, True, True]
    assert finished.ledger.finalized(finished.plan)
