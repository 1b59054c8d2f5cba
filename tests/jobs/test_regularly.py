from __future__ import annotations

import threading

import pytest

import jobs.regularly
from jobs.regularly import regularly
from pipeline.storage import StorageError


def test_looks_again_and_again_though_storage_fails_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.regularly, "POLL_S", 0.01)
    looks, seen = 0, threading.Event()

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise StorageError("the store is overloaded")
        if looks == 3:
            seen.set()

    with regularly(look):
        assert seen.wait(10)
    after = looks
    threading.Event().wait(0.05)
    assert looks == after, "it ends with the block"
