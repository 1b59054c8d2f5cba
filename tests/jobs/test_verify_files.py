"""Files are held against manifest and receipts; parts that others replaced are evidence of work done twice."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.verify_check import Check, Tally, guarded
from jobs.verify_files import digests
from jobs.verify_folder import read_folder


@pytest.fixture
def repaired(job: Any) -> Any:
    """A finished job with a part that was replaced, since another one held its rows."""
    job.commit("a1-0-0", *[job.row("000000-a", n) for n in range(4)], job.end("000000-a", 4))
    job.commit("a2-0-0", *[job.row("000000-a", n) for n in (1, 2, 3)])
    job.commit("a2-1-0", job.row("000001-b", 0), job.end("000001-b", 1))
    job.ledger.repair()
    job.finish()
    return job


def digests_of(job: Any) -> Check:
    folder = read_folder(job.ledger)
    return guarded(Tally("digests", ""), lambda tally: digests(folder, tally))


def test_a_replaced_part_is_held_against_its_receipt(repaired: Any) -> None:
    assert digests_of(repaired).verdict == "pass"
    (repaired.folder / "data" / "a2-0-0.parquet").write_bytes(b"cheaper")
    assert digests_of(repaired).verdict == "mismatch"


@pytest.mark.parametrize("receipt_too", [False, True])
def test_a_replaced_part_that_is_gone_is_not_passed_over(repaired: Any, receipt_too: bool) -> None:
    (repaired.folder / "data" / "a2-0-0.parquet").unlink()
    if receipt_too:
        (repaired.folder / "done" / "a2-0-0.json").unlink()
        repaired.finish()
    check = digests_of(repaired)
    assert check.verdict == "not_checked"
    assert "1 parts that others replaced are gone, the first is data/a2-0-0.parquet" in check.notes[0]
    assert "flops_discarded is at least" in check.notes[0]


def test_a_live_part_that_is_gone_is_missing(repaired: Any) -> None:
    (repaired.folder / "data" / "a1-0-0.parquet").unlink()
    assert digests_of(repaired).verdict == "missing"
