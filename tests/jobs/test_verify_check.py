from __future__ import annotations

from jobs.verify_check import Tally, guarded
from pipeline.receipts import LedgerError
from pipeline.storage import FileAbsent


def test_nothing_examined_is_no_pass() -> None:
    assert Tally("rows", "all is well").check().verdict == "missing"


def test_the_worst_outcome_counts() -> None:
    tally = Tally("rows", "all is well")
    tally.look(3)
    assert tally.check().verdict == "pass"
    tally.not_checked("the inputs are elsewhere")
    assert tally.check().verdict == "not_checked"
    tally.missing("a.json", "a receipt")
    assert tally.check().verdict == "missing"
    tally.expect("a.parquet 000000-a/1/0", 5, 6)
    check = tally.check()
    assert (check.verdict, check.examined, check.findings_total) == ("mismatch", 4, 2)
    assert str(check.findings[0]) == "a.parquet 000000-a/1/0: expected 5, found 6"
    assert check.notes == ("the inputs are elsewhere",)


def test_findings_are_counted_and_the_first_ones_kept() -> None:
    tally = Tally("rows", "all is well")
    for number in range(1000):
        tally.mismatch(str(number), 1, 2)
    check = tally.check()
    assert (len(check.findings), check.findings_total) == (20, 1000)
    assert check.findings[0].where == "0"


def test_what_a_test_stumbles_over_is_a_finding() -> None:
    def absent(tally: Tally) -> None:
        raise LedgerError("data/a.parquet cannot be read") from FileAbsent("data/a.parquet")

    def broken(tally: Tally) -> None:
        raise KeyError("config")

    assert guarded(Tally("a", ""), absent).verdict == "missing"
    check = guarded(Tally("b", ""), broken)
    assert check.verdict == "mismatch"
    assert "KeyError('config')" in str(check.findings[0])
