from __future__ import annotations

import pytest

from jobs.evidence import evidence_of, with_all_at_hand
from jobs.verify_check import Check, Finding, Verdict

ROWS = ("documents", "receipts", "tiling", "rows", "status", "depths", "texts", "costs", "sharing", "headline")
DIGESTS = ("digests", "no_extra_files", "fingerprint", "settings", "environment", "parts", "inputs")
SHADOW = ("shadow", "shadow_estimate", "mean_length")
ALL = (*ROWS, *DIGESTS, *SHADOW, "windows", "rerun")


def checks(*names: str, **verdicts: Verdict) -> list[Check]:
    return [
        Check(
            name=name,
            claim="",
            verdict=verdicts.get(name, "pass"),
            examined=1,
            findings=(Finding(where="data/a.parquet", expected="1", found="2"),) if name in verdicts else (),
        )
        for name in names
    ]


@pytest.mark.parametrize(
    ("names", "level"),
    [((), 0), (ROWS, 1), ((*ROWS, *DIGESTS), 2), ((*ROWS, *DIGESTS, *SHADOW), 3), (ALL[:-1], 4), (ALL, 5)],
)
def test_each_level_rests_on_its_own_checks(names: tuple[str, ...], level: int) -> None:
    assert evidence_of(checks(*names)).level == level


@pytest.mark.parametrize("name", ALL)
def test_no_level_is_claimed_above_one_that_does_not_hold(name: str) -> None:
    below = evidence_of(checks(*ALL, **{name: "not_checked"}))
    own = next(step.level for step in below.steps if not step.met)
    assert below.level == own - 1
    assert name in below.steps[own].reason
    assert all(step.met for step in below.steps if step.level != own), "what holds above is still said"


def test_measured_time_alone_is_no_l4() -> None:
    found = evidence_of(checks(*ROWS, "windows"))
    assert found.level == 1
    assert found.name == "L1 recomputable from the rows"
    assert found.steps[4].met


def test_a_mismatch_anywhere_leaves_nothing() -> None:
    found = evidence_of(checks(*ALL, windows="mismatch"))
    assert found.level == 0
    assert "data/a.parquet: expected 1, found 2" in found.steps[4].reason
    assert found.steps[4].remedy is None


def test_rows_run_again_afterwards_stand_in_for_those_of_the_run() -> None:
    names = (*ROWS, *DIGESTS, "shadow_estimate", "mean_length")
    assert evidence_of(checks(*names)).level == 2
    assert evidence_of(checks(*names, "shadow_of_audit")).level == 3
    assert evidence_of(checks(*names, "shadow_of_audit", "shadow", shadow="not_checked")).level == 2
    old = evidence_of(checks(*names, "shadow_of_audit", shadow_of_audit="not_checked"))
    assert (old.level, old.steps[3].remedy) == (2, "run 'mue audit run OUT' again")
    assert old.steps[3].reason.startswith("shadow_of_audit: not checked")


def test_what_would_be_if_all_were_at_hand() -> None:
    here = checks(*ALL[:-1], inputs="not_checked", texts="missing")
    assert evidence_of(here).level == 0
    assert evidence_of(with_all_at_hand(here)).level == 5
    assert evidence_of(with_all_at_hand(checks(*ALL[:-1], windows="not_checked"))).level == 3
    assert evidence_of(with_all_at_hand(checks(*ALL, rerun="mismatch"))).level == 0
    assert evidence_of(with_all_at_hand(checks(*ALL, digests="missing"))).level == 1


def test_what_lacks_has_a_remedy() -> None:
    document = evidence_of(checks(*ROWS)).document()
    assert document["level"] == 1
    assert "digests: not looked at" in document["steps"][2]["reason"]
    assert document["steps"][5]["remedy"].startswith("run 'mue verify OUT --rerun")
