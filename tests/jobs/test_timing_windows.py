"""Time saved, from the lines of the processes that measured it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.interval import NotMeasured
from jobs.timing_windows import TimingWindows, timing_windows


def line(number: int, exits_s: float, full_s: float, **changes: Any) -> dict[str, Any]:
    times = {"exits_s": exits_s, "full_s": full_s, "drain_s": 1.0, "warm_s": 2.0, "alone_s": exits_s + full_s + 2}
    rows = {"rows": 400, "rows_distinct": 400, "rows_in_flight": 100}
    first = "full" if number % 2 else "exits"
    return {"event": "window", "number": number, "first": first, **rows, **times, **changes}


def write(job: Any, name: str, *windows: dict[str, Any], purpose: str = "run", **totals: Any) -> None:
    process = {
        "event": "process", "attempt": "a1", "actor": name, "purpose": purpose, "device": "cpu", "load_s": 3.0,
        "warm_up_s": 0.5,
    }  # fmt: skip
    sums = {
        "event": "totals", "actor_s": 100.0, "busy_s": 80.0, "idle_s": 5.0, "windows_s": 0.0, "rows_ok": 10,
        "flops_ok": 900, "shadow_rows": 1, "shadow_lost": 0, "flops_shadow": 100,
    } | totals  # fmt: skip
    lines = "".join(json.dumps(each) + "\n" for each in [process, *windows, sums])
    job.ledger.storage.write(f"metrics/a1-{name}.jsonl", lines.encode())


def test_windows_of_all_processes_count_together(job: Any) -> None:
    write(job, "x", line(0, 7, 10), line(1, 7.5, 10))
    write(job, "y", line(0, 13.5, 20))
    found = timing_windows(job.ledger)
    assert isinstance(found, TimingWindows)
    assert (found.source, len(found.windows)) == ("run", 3)
    assert found.time_ratio is not None
    assert found.saved_share is not None
    assert found.point_ratio == found.time_ratio.estimate == pytest.approx(28 / 40)
    assert found.saved_share.estimate == pytest.approx(0.3)
    assert 0.2 < found.saved_share.low < 0.3 < found.saved_share.high < 0.4
    assert found.cost_s == pytest.approx(28 + 40 + 3 * 3)
    assert found.windows[1].first == "full"
    assert found.document()["windows"][0]["actor"] == "x"


def test_a_single_window_has_no_interval(job: Any) -> None:
    write(job, "x", line(0, 7, 10))
    found = timing_windows(job.ledger)
    assert isinstance(found, TimingWindows)
    assert (found.time_ratio, found.saved_share, found.point_ratio) == (None, None, 0.7)


@pytest.mark.parametrize("windows", [[], [{"event": "window", "number": 0, "lost": "a row failed", "alone_s": 1.0}]])
def test_without_a_whole_window_nothing_is_measured(windows: list[dict[str, Any]], job: Any) -> None:
    write(job, "x", *windows)
    found = timing_windows(job.ledger)
    assert isinstance(found, NotMeasured)
    assert "audit.windows 0" in found.reason


def test_windows_of_an_audit_afterwards_are_not_the_run_s(job: Any) -> None:
    write(job, "x", line(0, 7, 10), purpose="audit")
    assert isinstance(timing_windows(job.ledger), NotMeasured)
