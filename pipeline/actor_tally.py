"""What one model process did with its time, in lines that only it can write. Knows neither ray nor torch."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import RowStatus
from pipeline.timing_window import WindowTimes

METRICS_VERSION = 1


class ActorTally:
    """Counts from the start of a process; safe for threads. Sums are Python integers.

    `lines` are events of three kinds: `process`, once; `window`, one each; `totals`, the last, of everything so far.
    """

    def __init__(
        self,
        *,
        attempt: str,
        actor: str,
        purpose: str,
        node: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        gpu_counters: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """Begin to count.

        Args:
            attempt: Of the job.
            actor: Who this is.
            purpose: `run` or `audit`.
            node: The machine.
            clock: In seconds.
            gpu_counters: Gives the energy that each GPU of the machine ever drew, in millijoules by UUID.
        """
        self._clock, self._began = clock, clock()
        self._gpu_counters, self._gpus_at_start, self._gpu = gpu_counters, dict(gpu_counters()), ""
        self._lock = threading.Lock()
        self._process: dict[str, Any] = {
            "event": "process",
            "schema_version": METRICS_VERSION,
            "attempt": attempt,
            "actor": actor,
            "purpose": purpose,
            "node": node,
            "began": _now(),
        }
        self._windows: list[dict[str, Any]] = []
        self._in_hand, self._busy_since, self._busy_s = 0, 0.0, 0.0
        self._windows_s = 0.0
        self._counts = dict.fromkeys(("rows_ok", "flops_ok", "shadow_rows", "shadow_lost", "flops_shadow"), 0)

    def loaded(self, *, load_s: float, warm_up_s: float, device: str, threads: int, gpu: str | None = None) -> None:
        """Note how long the model took to be ready, and where it is; `gpu` is the UUID of its GPU."""
        with self._lock:
            self._process |= {"load_s": load_s, "warm_up_s": warm_up_s, "device": device, "threads": threads}
            if gpu is not None:
                self._gpu = gpu
                self._process |= {"gpu": gpu, "gpu_millijoules": self._gpus_at_start.get(gpu)}

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have a call in hand inside the block."""
        with self._lock:
            if not self._in_hand:
                self._busy_since = self._clock()
            self._in_hand += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_hand -= 1
                if not self._in_hand:
                    self._busy_s += self._clock() - self._busy_since

    def answered(self, table: pa.Table) -> None:
        """Count the `ok` rows of a `COMMIT_SCHEMA` table."""
        flops = table.filter(pc.equal(table["status"], RowStatus.OK.value))["flops_executed"].to_pylist()
        with self._lock:
            self._counts["rows_ok"] += len(flops)
            self._counts["flops_ok"] += sum(flops)

    def shadowed(self, *, selected: int, shadows: Sequence[Mapping[str, Any]]) -> None:
        """Count shadow rows of one call, and those of the selected ones that gave no result."""
        with self._lock:
            self._counts["shadow_rows"] += len(shadows)
            self._counts["shadow_lost"] += selected - len(shadows)
            self._counts["flops_shadow"] += sum(shadow["flops"] for shadow in shadows)

    def window(
        self, number: int, times: WindowTimes | None, *, distinct: int, in_flight: int, drain_s: float, alone_s: float
    ) -> None:
        """Note a window; `times` None: a row failed in it. `alone_s`: from when the process was drained to its end."""
        facts = {
            "number": number,
            "rows_distinct": distinct,
            "rows_in_flight": in_flight,
            "drain_s": drain_s,
            "alone_s": alone_s,
        }
        line = {"event": "window", "at": _now(), **facts} | (asdict(times) if times else {"lost": "a row failed"})
        with self._lock:
            self._windows.append(line)
            self._windows_s += alone_s

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        return not self._in_hand

    def lines(self) -> list[dict[str, Any]]:
        """Return everything so far."""
        with self._lock:
            now = self._clock()
            busy_s = self._busy_s + (now - self._busy_since if self._in_hand else 0.0)
            actor_s = now - self._began
            ready_s = self._process.get("load_s", 0.0) + self._process.get("warm_up_s", 0.0)
            totals = {
                "event": "totals",
                "at": _now(),
                "actor_s": actor_s,
                "busy_s": busy_s,
                "windows_s": self._windows_s,
                "idle_s": max(0.0, actor_s - ready_s - busy_s - self._windows_s),
                **self._counts,
            }
            if self._gpu:
                totals["gpu_millijoules"] = self._gpu_counters().get(self._gpu)
            return [self._process, *self._windows, totals]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
