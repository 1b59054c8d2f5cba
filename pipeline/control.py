"""`control.json`: requests to a running job, and how its tasks and actors notice them.

A Ray Dataset cannot be told to finish early. Instead every read, decode and model process looks at this file: reads
end without their shard's total, decode and model hand on no further rows, and what the engine has in hand is answered
and committed. What was dropped has no receipt, so the next attempt does it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from mue_model.config import Config, ConfigError
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.storage import Storage, StorageError

CONTROL = "control.json"
CHECK_S = 1.0
"""Seconds between two looks of one process at the file; on an object store each look is a request."""


class Control(Config):
    """`Control` v1: what is asked of a job."""

    schema_version: Literal[1] = 1
    stop: str | None = None
    """The attempt that is to end; another attempt takes no notice, so a request that was left over stops nothing."""

    def to_json(self) -> bytes:
        """Return the bytes of `control.json`."""
        return canonical_json(self.model_dump(mode="json"))


def request_stop(storage: Storage, attempt: str) -> None:
    """Ask every process of `attempt` to take no further rows."""
    storage.write(CONTROL, Control(stop=attempt).to_json())


class StopWatch:
    """Tells whether an attempt is to end, looking at the storage once a second at most. Can be sent to processes."""

    def __init__(self, output: str, attempt: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._attempt, self._clock = output, attempt, clock
        self._next, self._stopped = 0.0, False

    def stopped(self) -> bool:
        """Return whether a stop was requested; once it was, it stays so."""
        now = self._clock()
        if not self._stopped and now >= self._next:
            self._next = now + CHECK_S
            self._stopped = self._requested()
        return self._stopped

    def __getstate__(self) -> dict[str, Any]:
        # Another machine's clock starts elsewhere.
        return self.__dict__ | {"_next": 0.0}

    def _requested(self) -> bool:
        try:
            data = Storage.open(self._output).read(CONTROL)
            return parse_json(Control, data, where=CONTROL).stop == self._attempt
        except (StorageError, ConfigError):
            # Absent, out of reach for a moment, or written by a stranger: the work goes on.
            return False
