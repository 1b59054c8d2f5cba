"""A stored report passes where it was written by the job's owner, wherever it lies, and not where it was edited."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.footprint_factors import FootprintFactors
from jobs.report import write_report
from jobs.verify import Verification, VerifySettings, verify
from jobs.verify_check import Check
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.storage import Storage

Document = dict[str, Any]


def ledger_of(folder: Path | str) -> Ledger:
    return Ledger(Storage.open(str(folder)))


@pytest.fixture(scope="module")
def reported(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audited job with its report. Not to be changed."""
    folder = tmp_path_factory.mktemp("reported") / "out"
    shutil.copytree(honest, folder)
    write_report(ledger_of(folder), FootprintFactors(), pictures=False)
    return folder


@pytest.fixture
def edited(reported: Path, tmp_path: Path) -> Callable[[Callable[[Document], None]], Path]:
    """A copy whose report.json was changed."""

    def edit(change: Callable[[Document], None]) -> Path:
        copy = Path(shutil.copytree(reported, tmp_path / "copy"))
        document = json.loads((copy / "report/report.json").read_text())
        change(document)
        (copy / "report/report.json").write_text(json.dumps(document))
        return copy

    return edit


def report_of(verified: Verification) -> Check:
    [check] = [check for check in verified.checks if check.name == "report"]
    return check


def test_an_honest_report_passes_wherever_it_lies(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(reported, tmp_path / "elsewhere" / "copy")
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = verify(ledger_of("copy"))
    assert report_of(found).verdict == "pass"
    assert report_of(found).examined > 50
    assert (found.exit_code, found.evidence.level) == (ExitCode.OK, 3)


def test_a_level_that_needs_what_is_not_at_hand_is_no_mismatch(reported: Path, tmp_path: Path) -> None:
    found = verify(ledger_of(reported), VerifySettings(inputs=str(tmp_path)))
    assert (found.exit_code, found.evidence.level) == (ExitCode.OK, 1)
    assert report_of(found).verdict == "pass"
    assert "it claims L3; with what is at hand here L1 is found" in report_of(found).notes


@pytest.mark.parametrize(
    ("level", "name", "said"),
    [
        (5, "L5 independent re-run", "evidence level: expected L3 at most, found L5"),
        (4, "L4 measured time of the same run", "evidence level: expected L3 at most, found L4"),
        (3, "L5 independent re-run", "evidence: expected the name of L3, found L5 independent re-run"),
    ],
)
def test_a_level_that_was_raised(edited: Callable[..., Path], level: int, name: str, said: str) -> None:
    def raised(document: Document) -> None:
        document["verification"]["evidence"] |= {"level": level, "name": name}

    found = verify(ledger_of(edited(raised)))
    assert found.exit_code is ExitCode.MISMATCH
    assert said in str(report_of(found).findings[0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("a_same_length_flops", "net"), 1),
        (("a_same_length_flops", "share_net"), 0.9),
        (("b_counterfactual", "agreement", "low"), 0.99),
        (("b_counterfactual", "lost"), 7),
        (("c_time", "measured"), True),
        (("overhead_seconds", "load_s"), 0.0),
    ],
)
def test_savings_that_were_edited(edited: Callable[..., Path], path: tuple[str, ...], value: Any) -> None:
    def change(document: Document) -> None:
        inner = document["savings"]
        for step in path[:-1]:
            inner = inner[step]
        assert inner[path[-1]] != value
        inner[path[-1]] = value

    found = verify(ledger_of(edited(change)))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"report/report.json: savings.{'.'.join(path)}: expected " in str(report_of(found).findings[0])


def test_a_script_that_was_edited(edited: Callable[..., Path]) -> None:
    copy = edited(lambda document: None)
    script = copy / "report/recompute.sql"
    script.write_text(script.read_text().replace("(baseline - executed)::VARCHAR", "(2 * baseline)::VARCHAR"))
    found = verify(ledger_of(copy))
    assert found.exit_code is ExitCode.MISMATCH
    assert "report/recompute.sql: line " in str(report_of(found).findings[0])
    assert "(2 * baseline)::VARCHAR" in str(report_of(found).findings[0])


def test_a_script_of_another_version_is_not_called_forged(edited: Callable[..., Path]) -> None:
    copy = edited(lambda document: document.update(mue="0.0.0"))
    script = copy / "report/recompute.sql"
    script.write_text("-- as it was then\n" + script.read_text())
    found = verify(ledger_of(copy))
    assert found.exit_code is ExitCode.OK
    assert report_of(found).verdict == "not_checked"
    assert "written by mue 0.0.0" in report_of(found).notes[0]
