"""Timing windows of one model process: collects its rows, drains it when one is due, and runs it. No ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mue_model.rows import RowInput
from pipeline.actor_audit import ActorAudit
from pipeline.actor_tally import ActorTally
from pipeline.drain_gate import DrainGate
from pipeline.timing_window import Arm, Run, run_window
from pipeline.window_rows import IN_FLIGHT_TIMES, WindowCollector, WindowRows


class Windowed:
    """Every call is made inside `gate.shared()` and handed to `after` when it has left."""

    def __init__(
        self,
        audit: ActorAudit,
        tally: ActorTally,
        gate: DrainGate,
        arms: Callable[[], dict[Arm, Run]],
        rows_wanted: Callable[[bool], int],
        stopped: Callable[[], bool],
    ) -> None:
        """Run nothing yet.

        Args:
            audit: How many windows there are to be.
            tally: Takes them down.
            gate: Drains the process.
            arms: Called once a window is due.
            rows_wanted: W, told whether rows have candidates.
            stopped: No window begins once it says so.
        """
        self._audit, self._tally, self._gate = audit, tally, gate
        self._make_arms, self._rows_wanted, self._stopped = arms, rows_wanted, stopped
        self._arms: dict[Arm, Run] | None = None
        self._collector: WindowCollector | None = None
        self._in_flight = 0
        self._first = threading.Lock()

    def after(self, rows: Sequence[RowInput]) -> None:
        """Take the answered rows of a call; runs a window if one is due with them."""
        if not rows or not self._audit.windows:
            return
        with self._first:
            if self._collector is None:
                # Only now is it known what a row needs.
                self._in_flight = self._rows_wanted(bool(rows[0].candidates))
                self._collector = WindowCollector(
                    self._audit.windows, wanted=IN_FLIGHT_TIMES * self._in_flight, expected=self._audit.rows_expected
                )
        due = self._collector.take(rows)
        if due is not None and not self._stopped():
            self._run(due)

    def _run(self, due: WindowRows) -> None:
        began = time.perf_counter()
        with self._gate.alone():
            drained = time.perf_counter()
            if self._arms is None:
                self._arms = self._make_arms()
            times = run_window(due.number, due.rows, self._arms)
            self._tally.window(
                due.number,
                times,
                distinct=due.distinct,
                in_flight=self._in_flight,
                drain_s=drained - began,
                alone_s=time.perf_counter() - drained,
            )
