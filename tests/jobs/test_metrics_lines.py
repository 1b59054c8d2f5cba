"""Lines of processes are read whole or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.metrics_lines import process_lines
from pipeline.receipts import LedgerError
from pipeline.storage import Storage

PROCESS = '{"event": "process", "attempt": "a1", "actor": "x", "purpose": "run"}\n'
TOTALS = '{"event": "totals", "busy_s": 1}\n'


def test_processes_are_told_apart_by_purpose_and_attempt(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    assert process_lines(storage, purpose="run") == []
    storage.write("metrics/a1-x.jsonl", (PROCESS + '{"event": "window", "number": 0}\n' + TOTALS).encode())
    storage.write("metrics/a2-x.jsonl", (PROCESS.replace("run", "audit") + TOTALS).encode())
    storage.write("metrics/notes.txt", b"a stranger's")
    [run] = process_lines(storage, purpose="run")
    assert (run.actor, len(run.windows), run.totals["busy_s"]) == ("x", 1, 1)
    assert len(process_lines(storage, purpose="audit", attempt="a2")) == 1
    assert process_lines(storage, purpose="audit", attempt="a1") == []


@pytest.mark.parametrize("text", ["", "{", PROCESS, TOTALS, PROCESS * 2 + TOTALS, "[1]\n", PROCESS + TOTALS + "null\n"])
def test_what_no_process_writes_is_refused_by_name(text: str, tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    storage.write("metrics/a1-x.jsonl", text.encode())
    with pytest.raises(LedgerError, match=r"metrics/a1-x.jsonl is not what a model process writes"):
        process_lines(storage, purpose="run")
