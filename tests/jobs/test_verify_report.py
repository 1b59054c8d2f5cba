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
from jobs.report_markdown import report_markdown
from jobs.report_page import report_page
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


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict", "headline"), "Stopping early spared 99 % of the model's arithmetic"),
        (("verdict", "cards", 0, "value"), "99 %"),
        (("rows", "failed"), 0),
        (("failures",), []),
        (("footprint", "quantities", 0, "value"), 1e-9),
        (("gallery", 0, "answer"), "a perfect answer"),
        (("provenance", "model"), "another"),
        (("attempts", 0, "wall_s"), 0.1),
        (("savings", "a_same_length_flops", "overheads"), {}),
        (("verification", "checks", 0, "examined"), 10**6),
        (("verification", "evidence", "steps", 4, "met"), True),
        (("verification", "verdict"), "all is well"),
    ],
)
def test_anything_else_that_was_edited(edited: Callable[..., Path], path: tuple[Any, ...], value: Any) -> None:
    def change(document: Document) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        assert inner[path[-1]] != value
        inner[path[-1]] = value

    copy = edited(change)
    document = json.loads((copy / "report/report.json").read_text())
    (copy / "report/index.html").write_text(report_page(document, {}))
    (copy / "report/report.md").write_text(report_markdown(document))
    found = verify(ledger_of(copy))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"report/report.json: {path[0]}" in str(report_of(found).findings[0]), "the pages agree with it"


@pytest.mark.parametrize("page", ["index.html", "report.md"])
def test_a_page_that_was_edited(edited: Callable[..., Path], page: str) -> None:
    copy = edited(lambda document: None)
    assert verify(ledger_of(copy)).exit_code is ExitCode.OK
    text = (copy / "report" / page).read_text()
    (copy / "report" / page).write_text(text.replace("Stopping early", "Stopping very early", 1))
    found = verify(ledger_of(copy))
    assert found.exit_code is ExitCode.MISMATCH
    assert f"report/{page}: line " in str(report_of(found).findings[0])
    assert "Stopping very early" in str(report_of(found).findings[0])
    (copy / "report/report.json").unlink()
    assert verify(ledger_of(copy)).exit_code is ExitCode.EVIDENCE_MISSING, "nothing tells what it was made from"


def test_pictures_are_no_place_for_anything_else(honest: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(honest, tmp_path / "copy"))
    write_report(ledger_of(copy), FootprintFactors())
    page = (copy / "report/index.html").read_text()
    assert 'src="data:image/jpeg;base64,' in page
    assert verify(ledger_of(copy)).exit_code is ExitCode.OK
    for forged in ("<b>99 % spared</b>", "99 % spared"):
        changed = page.replace('<div class="picture">', f'<div class="picture">{forged}</div><div class="picture">', 1)
        (copy / "report/index.html").write_text(changed)
        assert verify(ledger_of(copy)).exit_code is ExitCode.MISMATCH


def test_a_report_that_was_never_finished_is_no_report(edited: Callable[..., Path]) -> None:
    found = verify(ledger_of(edited(lambda document: document.update(verification=None))))
    assert found.exit_code is ExitCode.EVIDENCE_MISSING
    assert "expected what tests found when it was made" in str(report_of(found).findings[0])


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
    assert found.exit_code is ExitCode.EVIDENCE_MISSING, "nor are its pages believed"
    assert report_of(found).verdict == "missing"
    assert "found those of mue 0.0.0; 'mue report OUT' writes it anew" in str(report_of(found).findings[0])
    assert "written by mue 0.0.0" in report_of(found).notes[0]
