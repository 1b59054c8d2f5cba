"""One driver a folder: who is let in, who is not, and who finds out that it was left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.driver_identity import Driver
from pipeline.interrupting_folder import Killed, interrupting
from pipeline.lease import Lease, LeaseHeld, lease_in_force, take_lease
from pipeline.receipts import LedgerError
from pipeline.storage import Storage, StorageError

HERE = Driver.this("here")
AFAR = HERE.model_copy(update={"host": "node7", "attempt": "afar"})
DEAD = HERE.model_copy(update={"started": "1", "attempt": "dead"})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "out"))


class _Time:
    """A clock that runs only while somebody sleeps, and what happens meanwhile."""

    def __init__(self, meanwhile: Callable[[float], None] = lambda now_s: None) -> None:
        self.now_s, self._meanwhile = 1000.0, meanwhile

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self._meanwhile(self.now_s)


def _take(storage: Storage, driver: Driver, time: _Time | None = None) -> Lease:
    time = time or _Time(lambda now_s: pytest.fail("waited although it is known at once"))
    return take_lease(storage, driver, length_s=60, clock=time.clock, sleep=time.sleep)


def test_a_living_driver_here_keeps_others_out_at_once(storage: Storage) -> None:
    _take(storage, HERE)
    with pytest.raises(LeaseHeld) as caught:
        _take(storage, AFAR)
    message = str(caught.value)
    for said in (str(HERE), f"{storage.url} is being worked on", "since 20", f"delete {storage.url}/lease/000001.json"):
        assert said in message


def test_a_lease_that_was_given_back_is_free(storage: Storage) -> None:
    first = _take(storage, HERE)
    first.release()
    second = _take(storage, AFAR)
    assert storage.list("lease") == ["lease/000002.json"], "numbers go on, and nothing piles up"
    assert not first.renew()
    assert second.renew()


def test_of_a_dead_driver_here_it_is_taken_at_once(storage: Storage) -> None:
    dead = _take(storage, DEAD)
    alive = _take(storage, HERE)
    assert (alive.renew(), dead.renew()) == (True, False)


def test_of_a_silent_driver_elsewhere_it_is_taken_after_its_time(storage: Storage) -> None:
    _take(storage, AFAR)
    time = _Time()
    began_s = time.now_s
    _take(storage, HERE, time)
    assert 60 < time.now_s - began_s < 65
    holder = lease_in_force(storage)
    assert holder is not None
    assert (holder.generation, holder.driver) == (2, HERE)


def test_a_renewal_seen_while_waiting_keeps_others_out(storage: Storage) -> None:
    afar = _take(storage, AFAR)
    renewals = []

    def meanwhile(now_s: float) -> None:
        if now_s > 1050 and not renewals:
            renewals.append(afar.renew())

    time = _Time(meanwhile)
    with pytest.raises(LeaseHeld, match="on node7"):
        _take(storage, HERE, time)
    assert renewals == [True]
    assert time.now_s < 1053


def test_a_lease_given_back_while_waiting_is_taken(storage: Storage) -> None:
    afar = _take(storage, AFAR)
    assert _take(storage, HERE, _Time(lambda now_s: afar.release() if 1002 < now_s < 1004 else None)).renew()


@pytest.mark.parametrize("since", ["1970-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00"])
def test_what_the_wall_clock_said_changes_nothing(storage: Storage, since: str) -> None:
    _take(storage, AFAR)
    holder = lease_in_force(storage)
    assert holder is not None
    storage.write(holder.path, holder.model_copy(update={"since": since}).to_json())
    time = _Time()
    _take(storage, HERE, time)
    assert 60 < time.now_s - 1000 < 65


def test_a_driver_that_slept_through_its_end_finds_out(storage: Storage) -> None:
    sleeper = _take(storage, AFAR)
    successor = _take(storage, HERE, _Time())
    successor.release()
    assert not sleeper.renew(), "also where the successor has ended before"
    sleeper.release()
    holder = lease_in_force(storage)
    assert holder is not None
    assert (holder.generation, holder.released) == (2, True)


def test_a_renewal_that_lands_after_the_successor_came_changes_nothing(storage: Storage) -> None:
    sleeper = _take(storage, AFAR)
    late = storage.read("lease/000001.json")
    successor = _take(storage, HERE, _Time())
    storage.write("lease/000001.json", late)  # it was on its way when the driver fell asleep
    assert (sleeper.renew(), successor.renew()) == (False, True)
    with pytest.raises(LeaseHeld, match="attempt here"):
        _take(storage, AFAR)
    successor.release()
    _take(storage, AFAR)
    assert storage.list("lease") == ["lease/000003.json"]


def test_deleting_the_lease_lets_another_in_and_the_holder_find_out(storage: Storage) -> None:
    first = _take(storage, HERE)
    storage.delete("lease/000001.json")
    second = _take(storage, HERE)
    assert (first.renew(), second.renew()) == (False, True)
    storage.delete("lease/000001.json")
    assert not second.renew()


def test_a_file_that_is_no_lease_is_named(storage: Storage) -> None:
    storage.write("lease/000004.json", b"{}")
    with pytest.raises(LedgerError, match=r"lease/000004\.json: .*; if no driver works on the folder, delete the file"):
        _take(storage, HERE)


def _race(storage: Storage) -> list[Lease]:
    def enter(number: int) -> Lease | None:
        try:
            return take_lease(storage, HERE.model_copy(update={"attempt": str(number)}), length_s=60)
        except LeaseHeld:
            return None

    with ThreadPoolExecutor(8) as pool:
        return [lease for lease in pool.map(enter, range(8)) if lease is not None]


@pytest.mark.parametrize("before", ["nobody", "dead"])
def test_of_many_at_once_one_is_let_in(storage: Storage, before: str) -> None:
    if before == "dead":
        _take(storage, DEAD)
    [winner] = _race(storage)
    assert winner.renew()


def test_of_many_at_once_one_is_let_in_by_an_object_store(bucket: str) -> None:
    storage = Storage.open(f"{bucket}/run")
    [winner] = _race(storage)
    assert winner.renew()
    winner.release()
    [second] = _race(storage)
    assert (winner.renew(), second.renew()) == (False, True)


_RACER = """
import sys
from pipeline.driver_identity import Driver
from pipeline.lease import LeaseHeld, take_lease
from pipeline.storage import Storage
storage = Storage.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    take_lease(storage, Driver.this("racer"), length_s=60)
except LeaseHeld:
    print("held", flush=True)
else:
    print("taken", flush=True)
sys.stdin.readline()
"""


def test_of_real_processes_one_is_let_in_and_after_its_kill_the_next(storage: Storage) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, storage.url], stdin=pipe, stdout=pipe, text=True, env=environment
        )
        for _ in range(3)
    ]
    said = {}
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            assert racer.stdout is not None
            said[racer.pid] = racer.stdout.readline().strip()
        assert sorted(said.values()) == ["held", "held", "taken"]
        with pytest.raises(LeaseHeld):
            _take(storage, HERE)
        [holder] = [racer for racer in racers if said[racer.pid] == "taken"]
        holder.kill()
        holder.wait()
        assert _take(storage, HERE).renew()
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "disk-full"])
@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_a_failure_at_any_write_locks_nobody_out(tmp_path: Path, moment: str, killed: bool) -> None:
    failures = 0
    while True:
        storage = Storage.open(str(tmp_path / f"out{failures}"))
        _take(storage, DEAD)
        failing = interrupting(storage, at=failures, moment=moment, killed=killed)  # type: ignore[arg-type]
        try:
            lease = _take(failing, DEAD)
            assert lease.renew()
            lease.release()
        except (Killed, StorageError):
            failures += 1
        else:
            break
        assert _take(storage, HERE).renew()
        with pytest.raises(LeaseHeld):
            _take(storage, HERE)
    assert failures == 5, "every single write failed once"


@pytest.mark.parametrize("at", [0, 1], ids=["taking", "clearing"])
@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_storage_that_fails_for_a_moment_is_waited_for(storage: Storage, moment: str, at: int) -> None:
    _take(storage, DEAD)
    pauses = _Time()
    failing = interrupting(storage, at=at, moment=moment, killed=False, error=errno.EIO)  # type: ignore[arg-type]
    lease = _take(failing, HERE, pauses)
    assert 0 < pauses.now_s - 1000 < 5, "it did fail, and once"
    assert lease.renew(), "it is not taken for somebody else's"
    holder = lease_in_force(storage)
    assert holder is not None
    assert (holder.generation, holder.driver.attempt) == (2, "here")
    with pytest.raises(LeaseHeld):
        _take(storage, HERE)
