"""Timing windows are those of the job's own processes, as many and in the order that the plan makes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.interval import NotMeasured
from jobs.metrics_lines import process_lines
from jobs.overhead_seconds import committed_by_actor
from jobs.timing_windows import TimingWindows, timing_windows
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from pipeline.timing_window import first_arm
from pipeline.window_rows import IN_FLIGHT_TIMES


def windows(folder: Folder, tally: Tally) -> None:
    """Time saved was measured in windows of the same run, with and without exits, and has an interval."""
    found = timing_windows(folder.ledger)
    measured(found, tally)
    if isinstance(found, TimingWindows) and found.source == "run":
        _origin(folder, tally)


def measured(found: TimingWindows | NotMeasured, tally: Tally) -> None:
    """Windows are of the run, enough for an interval, and each has enough rows."""
    if isinstance(found, NotMeasured):
        tally.not_checked(found.reason)
        return
    if found.source != "run":
        tally.not_checked("the windows are of 'mue audit run', not of the run itself")
    elif found.saved_share is None:
        tally.not_checked("a single window has no interval, and a process that ends early leaves some out")
    tally.look(len(found.windows))
    for window in found.windows:
        if window.rows < IN_FLIGHT_TIMES * window.rows_in_flight:
            where = f"window {window.number} of {window.actor}"
            expected = f"at least {IN_FLIGHT_TIMES * window.rows_in_flight} rows, four times those in flight"
            tally.mismatch(where, expected, window.rows)


def _origin(folder: Folder, tally: Tally) -> None:
    """Hold what processes wrote down against the attempts, the rows and the plan; windows with a failed row too."""
    assert folder.plan is not None
    attempts = {attempt.get("attempt") for attempt in folder.attempts}
    committed = committed_by_actor(folder.ledger)
    lines: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for process in process_lines(folder.ledger.storage, purpose="run"):
        lines[process.attempt, process.actor] += process.windows
    for (attempt, actor), own in lines.items():
        if not own:
            continue
        where = f"metrics/{attempt}-{actor}: windows"
        if attempt not in attempts:
            tally.mismatch(where, "an attempt that run.json knows", f"attempt {attempt}")
        elif not committed[attempt, actor]:
            # Honest where a process ended before any of its rows was committed.
            tally.not_checked(f"{where}: no row of this process counts, so nothing ties them to the job")
        _sequence(where, own, folder.plan.audit_windows, tally)


def _sequence(where: str, lines: Sequence[Mapping[str, Any]], planned: int, tally: Tally) -> None:
    """A process numbers its windows from 0, and who goes first alternates."""
    numbers = sorted(line["number"] for line in lines)
    if len(set(numbers)) < len(numbers):
        tally.mismatch(where, "each number once", numbers)
    elif numbers[0] < 0 or numbers[-1] >= planned:
        tally.mismatch(where, f"numbers below {planned}, as the plan has so many windows of each process", numbers)
    elif numbers != list(range(len(numbers))):
        # Honest where a process ended while two windows waited for their turn.
        tally.not_checked(f"{where}: numbers {numbers}, so some are not on record")
    for line in lines:
        if "lost" not in line and line["first"] != (first := first_arm(line["number"])):
            tally.mismatch(f"{where}: number {line['number']}: first", first, line["first"])
