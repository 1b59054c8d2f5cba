"""Requests to a running job, as its processes see them."""

from __future__ import annotations

import pickle
from pathlib import Path

from pipeline.control import CHECK_S, Control, StopWatch, request_stop
from pipeline.storage import Storage


def test_a_request_stops_the_attempt_that_it_names_and_no_other(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    request_stop(storage, "a1")
    assert StopWatch(str(tmp_path), "a1").stopped()
    assert not StopWatch(str(tmp_path), "a2").stopped(), "a request that was left over stops no later attempt"


def test_looks_once_a_second_at_most_and_never_goes_back(tmp_path: Path) -> None:
    now = 0.0
    watch = StopWatch(str(tmp_path), "a1", clock=lambda: now)
    assert not watch.stopped()
    request_stop(Storage.open(str(tmp_path)), "a1")
    assert not watch.stopped(), "it has looked a moment ago"
    now = CHECK_S
    assert watch.stopped()
    (tmp_path / "control.json").unlink()
    now = 10 * CHECK_S
    assert watch.stopped()


def test_a_watch_that_was_sent_to_another_process_looks_at_once(tmp_path: Path) -> None:
    watch = StopWatch(str(tmp_path), "a1")
    assert not watch.stopped()
    request_stop(Storage.open(str(tmp_path)), "a1")
    assert pickle.loads(pickle.dumps(watch)).stopped()


def test_what_is_no_request_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "control.json").write_text("{torn")
    assert not StopWatch(str(tmp_path), "a1").stopped()
    (tmp_path / "control.json").write_bytes(Control().to_json())
    assert not StopWatch(str(tmp_path), "a1").stopped()
