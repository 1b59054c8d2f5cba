"""What a killed process had written is whole; a storage that does not take it stops nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.metrics_file import MetricsFile
from pipeline.storage import Storage


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def until(met: Any, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_each_write_replaces_the_whole_and_a_kill_leaves_the_last_one(tmp_path: Path) -> None:
    path, written = tmp_path / "out/metrics/a1-x.jsonl", tmp_path / "written"
    pid = os.fork()
    if not pid:
        lines: list[dict[str, Any]] = [{"event": "process"}]
        file = MetricsFile(Storage.open(str(tmp_path / "out")), "a1-x", lambda: lines, lambda: False)
        for number in range(3):
            lines = [*lines, {"event": "window", "number": number, "ü": "é"}]
            file.write()
        written.touch()
        time.sleep(60)
        os._exit(1)
    until(written.exists)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [line.get("number") for line in lines_of(path)] == [None, 0, 1, 2]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_it_writes_by_itself_while_there_is_work_and_never_after(tmp_path: Path) -> None:
    count, at_work = [0], [True]

    def lines() -> list[dict[str, Any]]:
        count[0] += 1
        return [{"number": count[0]}]

    MetricsFile(Storage.open(str(tmp_path)), "a1-x", lines, lambda: at_work[0], every_s=0.01)
    path = tmp_path / "metrics/a1-x.jsonl"
    until(lambda: path.exists() and lines_of(path)[0]["number"] >= 3)
    at_work[0] = False
    time.sleep(0.1)
    last = path.read_bytes()
    time.sleep(0.1)
    assert path.read_bytes() == last, "a manifest may vouch for it"


def test_a_storage_that_fails_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    file = MetricsFile(Storage.open(str(tmp_path / "out")), "a1-x", lambda: [{}], lambda: False)
    file.write()
    file.write()
    assert caplog.text.count("times of this process are not recorded") == 1
