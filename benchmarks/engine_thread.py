"""Where the time of a job's engine thread goes, seen from outside: on a core, waiting for one, or asleep. Linux only.

Asleep it waits for rows, or for the interpreter while another thread of its process has it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

ACTOR_CLASS = "GuardedModelActor"
INTERVAL_S = 1.0


@dataclass(frozen=True)
class ThreadShares:
    """Shares of wall time; with what is missing to 1 the thread slept."""

    on_core: float
    waiting_for_core: float


class EngineThread:
    """Watches the busiest thread of the one actor below the process `job`, from its first row to its end."""

    def __init__(self, job: int) -> None:
        self._job = psutil.Process(job)
        self._samples: dict[int, list[tuple[float, int, int]]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def shares(self) -> ThreadShares | None:
        """Stop watching; return the shares between the second sample and the last but one, None if too short a job."""
        self._over.set()
        self._thread.join()
        busiest = max(self._samples.values(), key=lambda samples: samples[-1][1], default=[])
        busy = [later for earlier, later in pairwise(busiest) if later[1] > earlier[1]][1:-1]
        if len(busy) < 3:
            return None
        wall, ran, waited = (last - first for first, last in zip(busy[0], busy[-1], strict=True))
        return ThreadShares(on_core=ran / wall / 1e9, waiting_for_core=waited / wall / 1e9)

    def _watch(self) -> None:
        actor: psutil.Process | None = None
        while not self._over.wait(INTERVAL_S):
            try:
                if actor is None:
                    below = self._job.children(recursive=True)
                    actor = next((process for process in below if ACTOR_CLASS in " ".join(process.cmdline())), None)
                else:
                    self._sample(actor.pid)
            except (psutil.Error, OSError):  # between being listed and being read it ended
                actor = None

    def _sample(self, pid: int) -> None:
        now = time.perf_counter()
        for task in Path(f"/proc/{pid}/task").iterdir():
            ran, waited, _ = map(int, (task / "schedstat").read_text().split())
            self._samples.setdefault(int(task.name), []).append((now, ran, waited))
