"""Requests to a running job, as its processes see them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pipeline.control import CHECK_S, Control, StopWatch, read_control, request_scale, request_stop, scale_of
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


def test_a_request_for_actors_ends_the_segments_of_its_attempt_that_have_others(tmp_path: Path) -> None:
    storage, watch = Storage.open(str(tmp_path)), StopWatch(str(tmp_path), "a1")
    scale = request_scale(storage, "a1", min_actors=2, max_actors=8)
    assert watch.also_for_other_actors(None).stopped()
    assert not watch.also_for_other_actors(scale.id).stopped(), "the segment has these actors already"
    assert not watch.stopped(), "the attempt itself goes on"
    assert not StopWatch(str(tmp_path), "a2").also_for_other_actors(None).stopped()
    assert pickle.loads(pickle.dumps(watch.also_for_other_actors(None))).stopped()
    assert scale_of(storage, "a1") == scale
    assert scale_of(storage, "a2") is None


def test_a_stop_and_a_request_for_actors_leave_each_other_alone(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    scale = request_scale(storage, "a1", min_actors=1, max_actors=1)
    request_stop(storage, "a1")
    assert read_control(storage) == Control(stop="a1", scale=scale)
    assert request_scale(storage, "a1", min_actors=3, max_actors=3).id != scale.id
    assert StopWatch(str(tmp_path), "a1").stopped()


def test_requests_of_the_first_version_are_understood_and_impossible_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "control.json").write_text('{"schema_version": 1, "stop": "a1"}')
    assert StopWatch(str(tmp_path), "a1").stopped()
    with pytest.raises(ValueError, match="below min"):
        request_scale(Storage.open(str(tmp_path)), "a1", min_actors=3, max_actors=2)
    with pytest.raises(ValueError, match="40000"):
        request_scale(Storage.open(str(tmp_path)), "a1", min_actors=10**9, max_actors=10**9)
    endless = '{"id": "x", "attempt": "a1", "min": 1000000000, "max": 1000000000}'
    (tmp_path / "control.json").write_text(f'{{"schema_version": 2, "stop": null, "scale": {endless}}}')
    assert scale_of(Storage.open(str(tmp_path)), "a1") is None, "whoever can write the folder"
