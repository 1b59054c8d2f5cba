"""`run.json`: what each attempt at a job ran on, how long it took and how it ended."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import logging
import platform
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.job_folder import RUN, run_facts
from jobs.known_errors import exit_code_of
from jobs.machine import this_machine
from mue_model.model_names import lasting_name
from pipeline.canonical_json import canonical_json
from pipeline.control import Scale
from pipeline.errors import PipelineError
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.patience import patiently
from pipeline.spec import JobSpec

logger = logging.getLogger(__name__)

_PACKAGES = ("mue", "ray", "torch", "pyarrow", "pillow", "tokenizers")


def new_attempt() -> str:
    """Return a name for an attempt: it sorts by time and is unlike that of any other driver."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results may depend on."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def run_document(attempts: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the bytes of `run.json` after these attempts, in which nothing but they and the last one's end stands."""
    last = {key: attempts[-1].get(key) for key in ("exit_code", "wall_s", "rows", "rows_per_s")}
    return canonical_json({"schema_version": 1, **last, "attempts": list(attempts)}, indent=1)


class RunRecord:
    """One attempt, written when it begins and again when it ends; earlier attempts are kept."""

    def __init__(self, ledger: Ledger, spec: JobSpec, attempt: str, *, retries: int | None = None) -> None:
        """Begin an attempt; `retries`: it only runs so many failed rows anew."""
        self.attempt = attempt
        self._ledger = ledger
        self._earlier: list[dict[str, Any]] = run_facts(ledger).get("attempts", [])
        self.previous_was_killed = bool(self._earlier) and self._earlier[-1].get("exit_code") is None
        """The attempt before this one could not record its end: something ended its process."""
        self._began = time.monotonic()
        self._rows_before = ledger.progress().rows_committed
        machine = this_machine()
        self._facts: dict[str, Any] = {
            "attempt": attempt,
            "began": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": package_versions(),
            "cores": machine.cores,
            "memory_gib": round(machine.memory_gib, 1),
            # A model's folder by its full name: a retry may be typed in another directory.
            "spec": json.loads(spec.model_copy(update={"model": lasting_name(spec.model)}).model_dump_json()),
        }
        if retries is not None:
            self._facts["retries"] = retries
        self._write()

    def note_scale(self, scale: Scale, segment: int) -> None:
        """Record that the attempt goes on with other actors from a segment on: whoever asked for them looks here."""
        known = self._facts.get("scales", [])
        self._facts["scales"] = [*known, {"id": scale.id, "min": scale.min, "max": scale.max, "segment": segment}]
        patiently(self._write)

    def end(self, exit_code: ExitCode, *, rows: int | None = None) -> None:
        """Record how the attempt ended. Rows per second count what it did over its whole time.

        `rows` left out: those that this attempt committed for the first time.
        """
        wall_s = time.monotonic() - self._began
        if rows is None:
            rows = self._ledger.progress().rows_committed - self._rows_before
        self._facts |= {
            "exit_code": int(exit_code),
            "wall_s": round(wall_s, 3),
            "rows": rows,
            "rows_per_s": round(rows / wall_s, 3),
        }
        self._write()

    def end_badly(self, error: BaseException) -> None:
        """Record what ended the attempt, if that can be recorded: the reason may be that nothing can be written."""
        try:
            self.end(exit_code_of(error))
        except PipelineError as error:
            logger.warning("how the attempt ended could not be recorded: %s", error)

    def _write(self) -> None:
        self._ledger.storage.write(RUN, run_document([*self._earlier, self._facts]))
