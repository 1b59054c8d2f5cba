"""Starts that die are counted, those that succeed or raise forgotten; deaths are real."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pipeline.starts import CannotStart, counted_start, forget_starts
from pipeline.storage import Storage

pytestmark = pytest.mark.usefixtures("no_fsync")


def start_in_a_process(output: Path, owner: str = "a1-x", *, dies: bool) -> int:
    """The exit status of a process that starts, once it has ended."""
    pid = os.fork()
    if not pid:
        with counted_start(Storage.open(str(output)), owner=owner, allowed=2):
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_as_many_deaths_in_a_row_as_are_allowed_and_no_more(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    assert start_in_a_process(tmp_path, dies=True) == signal.SIGKILL
    assert start_in_a_process(tmp_path, dies=False) == 0
    assert storage.list("starts") == [], "not in a row"
    for _ in range(2):
        assert start_in_a_process(tmp_path, dies=True) == signal.SIGKILL
    with counted_start(storage, owner="a1-xy", allowed=2):
        assert len(storage.list("starts")) == 3, "another actor starts as it likes"
    message = r"died 2 times in a row as it started \(actors\.max_restarts is 2\).*mue doctor"
    with pytest.raises(CannotStart, match=message), counted_start(storage, owner="a1-x", allowed=2):
        raise AssertionError("must not start")
    assert storage.list("starts") == []


def test_a_start_that_raises_is_no_death(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    with pytest.raises(RuntimeError, match="no such device"), counted_start(storage, owner="a1-x", allowed=2):
        raise RuntimeError("no such device")
    assert storage.list("starts") == []


def test_what_killed_jobs_left_is_forgotten(tmp_path: Path) -> None:
    start_in_a_process(tmp_path, dies=True)
    storage = Storage.open(str(tmp_path))
    assert len(storage.list("starts")) == 1
    forget_starts(storage)
    assert storage.list("starts") == []
