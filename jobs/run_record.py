"""`run.json`: what each attempt at a job ran on, how long it took and how it ended."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import secrets
import time
from typing import Any

from jobs.job_folder import RUN, run_facts
from jobs.machine import this_machine
from pipeline.canonical_json import canonical_json
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.spec import JobSpec

_PACKAGES = ("mue", "ray", "torch", "pyarrow", "pillow", "tokenizers")


def new_attempt() -> str:
    """Return a name for an attempt: it sorts by time and is unlike that of any other driver."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


class RunRecord:
    """One attempt, written when it begins and again when it ends; earlier attempts are kept."""

    def __init__(self, ledger: Ledger, spec: JobSpec, attempt: str) -> None:
        self.attempt = attempt
        self._ledger = ledger
        self._earlier: list[dict[str, Any]] = run_facts(ledger).get("attempts", [])
        self._began = time.monotonic()
        self._rows_before = ledger.progress().rows_committed
        machine = this_machine()
        self._facts: dict[str, Any] = {
            "attempt": attempt,
            "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
            "cores": machine.cores,
            "memory_gib": round(machine.memory_gib, 1),
            "spec": json.loads(spec.model_dump_json()),
        }
        self._write()

    def end(self, exit_code: ExitCode) -> None:
        """Record how the attempt ended. Rows per second count what this attempt committed over its whole time."""
        wall_s = time.monotonic() - self._began
        rows = self._ledger.progress().rows_committed - self._rows_before
        self._facts |= {
            "exit_code": int(exit_code),
            "wall_s": round(wall_s, 3),
            "rows": rows,
            "rows_per_s": round(rows / wall_s, 3),
        }
        self._write()

    def _write(self) -> None:
        last = {key: self._facts.get(key) for key in ("exit_code", "wall_s", "rows", "rows_per_s")}
        document = {"schema_version": 1, **last, "attempts": [*self._earlier, self._facts]}
        self._ledger.storage.write(RUN, canonical_json(document, indent=1))
