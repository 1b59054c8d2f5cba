"""Windows give L4 where the job's own processes measured them, and copied, doubled or chosen ones do not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.interval import Interval, NotMeasured
from jobs.timing_windows import TimingWindows, Window
from jobs.verify import verify
from jobs.verify_check import Check, Tally, guarded
from jobs.verify_folder import read_folder
from jobs.verify_windows import measured, windows
from pipeline.ledger import Ledger
from pipeline.storage import Storage

PLANNED = 3


def window(number: int, **changes: Any) -> dict[str, Any]:
    times = {"exits_s": 1.0 + number / 10, "full_s": 2.0, "drain_s": 0.1, "warm_s": 0.1, "alone_s": 3.2}
    rows = {"rows": 128, "rows_distinct": 128, "rows_in_flight": 32}
    return {"event": "window", "number": number, "first": "full" if number % 2 else "exits", **rows, **times, **changes}


def lost(number: int) -> dict[str, Any]:
    return {"event": "window", "number": number, "lost": "a row failed", "drain_s": 0.1, "alone_s": 1.0}


@pytest.fixture(scope="module")
def planned(run_here: Callable[..., Ledger], labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job whose plan has windows, and none was run so far. Not to be changed."""
    output = tmp_path_factory.mktemp("timed") / "out"
    run_here(output, [str(labelled)], audit={"rate": 0.6, "seed": 3, "windows": PLANNED})
    return output


@pytest.fixture
def timed(planned: Path, tmp_path: Path) -> Callable[..., Ledger]:
    """The job with these windows in the lines of its process, or of another one of that name."""
    shutil.copytree(planned, tmp_path / "copy")
    ledger = Ledger(Storage.open(str(tmp_path / "copy")))
    [path] = ledger.storage.list("metrics")
    process, totals = (json.loads(line) for line in ledger.storage.read(path).decode().splitlines())

    def write(*lines: dict[str, Any], name: str = "", **of_process: Any) -> Ledger:
        changed = [process | of_process, *lines, totals]
        text = "".join(json.dumps(line) + "\n" for line in changed)
        ledger.storage.write(f"metrics/{name}.jsonl" if name else path, text.encode())
        ledger.finalize(ledger.plan())
        return ledger

    return write


def check(ledger: Ledger) -> Check:
    return guarded(Tally("windows", ""), lambda tally: windows(read_folder(ledger), tally))


def said(found: Check) -> str:
    return f"{found.verdict}: " + " | ".join([*map(str, found.findings), *found.notes])


def test_windows_of_the_run_give_measured_time(timed: Callable[..., Ledger]) -> None:
    found = verify(timed(window(1), window(0), window(2)))
    assert (found.exit_code, found.evidence.level) == (0, 4)
    # One in which a row failed is on record too, and a process that ended early has fewer.
    assert check(timed(window(0), lost(1), window(2))).verdict == "pass"
    assert check(timed(window(0), window(1))).verdict == "pass"


def test_windows_of_another_run(timed: Callable[..., Ledger]) -> None:
    timed(window(0), window(1))
    foreign = {"attempt": "20251231T000000-000000", "actor": "x"}
    found = check(timed(window(0), window(1), name="20251231T000000-000000-x", **foreign))
    assert "mismatch: metrics/20251231T000000-000000-x: windows: expected an attempt that run.json knows" in said(found)


def test_windows_of_a_process_that_committed_nothing(timed: Callable[..., Ledger]) -> None:
    timed(window(0), window(1))
    found = check(timed(window(0), window(1), name="more", actor="x"))
    assert found.verdict == "not_checked"
    assert "no row of this process counts" in said(found)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([window(0), window(0)], "mismatch: .*each number once, found \\[0, 0\\]"),
        ([window(n) for n in range(PLANNED + 1)], "mismatch: .*numbers below 3, as the plan has"),
        ([window(0), window(2)], "not_checked: .*numbers \\[0, 2\\], so some are not on record"),
        ([window(1), window(2)], "not_checked: .*numbers \\[1, 2\\]"),
        ([window(0), window(1, first="exits")], "mismatch: .*number 1: first: expected full, found exits"),
    ],
)
def test_windows_that_were_chosen_added_or_renumbered(
    timed: Callable[..., Ledger], lines: list[dict[str, Any]], expected: str
) -> None:
    found = said(check(timed(*lines)))
    assert re.search(expected, found), found


def test_lines_of_a_process_that_were_doubled(timed: Callable[..., Ledger]) -> None:
    timed(window(0), window(1))
    assert "each number once" in said(check(timed(window(0), window(1), name="more")))


def test_windows_are_of_the_run_and_long_enough() -> None:
    one = Window(
        attempt="a", actor="x", number=0, first="exits", rows=128, rows_distinct=128, rows_in_flight=32,
        exits_s=1.0, full_s=2.0, drain_s=0.1, warm_s=0.1, device="cpu",
    )  # fmt: skip
    saved = Interval(estimate=0.5, low=0.4, high=0.6)
    good = TimingWindows(source="run", windows=(one, replace(one, number=1)), time_ratio=saved, saved_share=saved)

    def verdict(found: TimingWindows | NotMeasured) -> str:
        tally = Tally("windows", "")
        measured(found, tally)
        return tally.check().verdict

    assert verdict(good) == "pass"
    assert verdict(replace(good, source="audit")) == "not_checked"
    assert verdict(replace(good, saved_share=None)) == "not_checked"
    assert verdict(NotMeasured(reason="no windows")) == "not_checked"
    assert verdict(replace(good, windows=(replace(one, rows=127),))) == "mismatch"
