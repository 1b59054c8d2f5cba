"""Ends this process when its work makes no progress, even where C code keeps every Python thread from running."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STDERR = 2
"""The process's own, whatever Python writes to by now."""
_LOOKS = 8
"""Looks at the progress in the time that is allowed without any."""


@contextmanager
def ends_process_after(stuck_s: float) -> Iterator[None]:
    """End the process, with every thread's traceback on stderr, unless the block is left within `stuck_s`.

    One block at a time in a process.
    """
    faulthandler.dump_traceback_later(stuck_s, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class Watchdog:
    """For work on several threads: the process ends once work is in hand and `turns` has not grown for `stuck_s`.

    A thread of Python winds the clock up again at each sign of progress; the clock itself is a thread of C, so that a
    stuck kernel that never gives Python back ends too.
    """

    def __init__(self, stuck_s: float, turns: Callable[[], int]) -> None:
        self._stuck_s, self._turns = stuck_s, turns
        self._in_hand = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, name="mue-watchdog", daemon=True).start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have work in hand inside the block."""
        with self._lock:
            self._in_hand += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_hand -= 1

    def _watch(self) -> None:
        pause, pauser = self._stuck_s / _LOOKS, threading.Event()
        seen: int | None = None
        while True:
            turns = self._turns()
            if not self._in_hand or turns != seen:
                faulthandler.dump_traceback_later(self._stuck_s, exit=True, file=_STDERR)
            seen = turns if self._in_hand else None
            pauser.wait(pause)
