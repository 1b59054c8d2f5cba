"""The JSON lines that model processes left in `metrics/`, process by process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.metrics_file import FOLDER
from pipeline.receipts import LedgerError
from pipeline.storage import Storage


@dataclass(frozen=True, kw_only=True)
class ProcessLines:
    """What one process wrote down until its last write; of a killed one, the rest is unknown."""

    attempt: str
    actor: str
    purpose: str
    """`run` or `audit`."""
    process: Mapping[str, Any]
    windows: Sequence[Mapping[str, Any]]
    totals: Mapping[str, Any]


def process_lines(storage: Storage, *, purpose: str, attempt: str | None = None) -> list[ProcessLines]:
    """Return the lines of all processes that worked for `purpose`, or of one attempt, sorted by file name.

    Raises:
        LedgerError: A file is not what a process writes.
    """
    found = []
    for path in storage.list(FOLDER):
        if path.endswith(".jsonl") and (attempt is None or path.startswith(f"{FOLDER}/{attempt}-")):
            lines = _parsed(storage, path)
            if lines.purpose == purpose:
                found.append(lines)
    return found


def _parsed(storage: Storage, path: str) -> ProcessLines:
    try:
        lines = [json.loads(line) for line in storage.read(path).decode().splitlines()]
        [process] = [line for line in lines if line["event"] == "process"]
        [totals] = [line for line in lines if line["event"] == "totals"]
        return ProcessLines(
            attempt=process["attempt"],
            actor=process["actor"],
            purpose=process["purpose"],
            process=process,
            windows=[line for line in lines if line["event"] == "window"],
            totals=totals,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{storage.url}/{path} is not what a model process writes ({type(error).__name__}: {error}); restore "
            "it, or move it away: its times are unknown then"
        ) from error
