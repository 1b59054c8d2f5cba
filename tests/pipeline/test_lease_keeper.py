from __future__ import annotations

import errno
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.folders import Folder
from pipeline.lease import LeaseHeld, lease_in_force
from pipeline.lease_keeper import held_lease
from pipeline.storage import Storage

LENGTH_S = 0.2


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "out"))


def _renewals(storage: Storage) -> int:
    holder = lease_in_force(storage)
    assert holder is not None
    return holder.renewals


def _wait_for_renewals(storage: Storage, count: int) -> None:
    deadline = time.monotonic() + 20
    while _renewals(storage) < count:
        assert time.monotonic() < deadline, "no renewal"
        time.sleep(0.02)


def test_it_is_renewed_while_the_block_runs_and_given_back_at_its_end(storage: Storage) -> None:
    with held_lease(storage, attempt="a1", length_s=LENGTH_S) as keeper:
        _wait_for_renewals(storage, 3)
        with pytest.raises(LeaseHeld, match=r"attempt a1"), held_lease(storage, attempt="a2", length_s=LENGTH_S):
            pass
        assert not keeper.lost
    with held_lease(storage, attempt="a3", length_s=LENGTH_S):
        pass


def test_an_error_in_the_block_gives_it_back_too(storage: Storage) -> None:
    with pytest.raises(ZeroDivisionError), held_lease(storage, attempt="a1", length_s=60):
        raise ZeroDivisionError
    holder = lease_in_force(storage)
    assert holder is not None
    assert holder.released


def test_who_lost_it_is_told_once_and_leaves_the_successor_alone(storage: Storage) -> None:
    told = threading.Event()
    with held_lease(storage, attempt="a1", length_s=LENGTH_S, on_lost=told.set) as keeper:
        storage.delete("lease/000001.json")
        assert told.wait(20)
        assert keeper.lost
        with held_lease(storage, attempt="a2", length_s=60):
            keeper.end()
            holder = lease_in_force(storage)
            assert holder is not None
            assert (holder.driver.attempt, holder.released) == ("a2", False)


class _Flaky:
    """Cannot write for a while."""

    def __init__(self, inner: Folder) -> None:
        self.inner, self.broken, self.refused = inner, False, 0

    def write(self, path: str, data: bytes) -> None:
        if self.broken:
            self.refused += 1
            raise OSError(errno.ENOSPC, "full")
        self.inner.write(path, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_storage_that_fails_for_a_while_does_not_end_the_job(storage: Storage) -> None:
    flaky = _Flaky(storage.folder)
    with held_lease(Storage(storage.url, flaky), attempt="a1", length_s=LENGTH_S) as keeper:
        flaky.broken = True
        deadline = time.monotonic() + 20
        while flaky.refused < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert flaky.refused >= 3
        flaky.broken = False
        _wait_for_renewals(storage, _renewals(storage) + 2)
        assert not keeper.lost


def test_a_lease_that_cannot_be_given_back_runs_out_and_the_job_still_ends_well(storage: Storage) -> None:
    flaky = _Flaky(storage.folder)
    with held_lease(Storage(storage.url, flaky), attempt="a1", length_s=60):
        flaky.broken = True
    assert flaky.refused == 1
