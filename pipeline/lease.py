"""The lease: one driver per output folder. What two drivers would commit stays right; this saves the work done twice.

`lease/<generation>.json` is created exclusively, so of all who want to follow on a generation one succeeds. The highest
generation is in force, a released one included: numbers never go back, and a driver that slept through its end finds a
higher number when it wakes. No two machines' clocks are ever compared, nor a wall clock with itself: who waits watches
for the holder's renewals by its own monotonic clock, and takes over after it has seen none for the holder's whole time.
Where the holder ran on this machine its process is looked at instead, which needs no waiting.
"""

from __future__ import annotations

import datetime
import re
import secrets
import time
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from mue_model.config import Config, ConfigError
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.driver_identity import Driver
from pipeline.patience import patiently
from pipeline.receipts import LedgerError
from pipeline.storage import FileAbsent, Storage

FOLDER = "lease"
_FILE = re.compile(rf"^{FOLDER}/(?P<generation>\d+)\.json$")
_RENEWALS = 4
"""Renewals in the time after which a lease that is not renewed is lost."""


class LeaseHeld(LedgerError):
    """Another driver works on the folder."""


class LeaseRecord(Config):
    """`LeaseRecord` v1: who drives the job."""

    schema_version: Literal[1] = 1
    generation: int = Field(ge=1)
    token: str
    """Unlike that of any other lease."""
    driver: Driver
    since: str
    """When it was taken, by the driver's clock: for people alone."""
    length_s: float = Field(gt=0)
    """Seconds without a renewal after which it is lost."""
    renewals: int = 0
    released: bool = False
    """The driver ended and said so."""

    @property
    def path(self) -> str:
        """Where the record lies in the output folder."""
        return f"{FOLDER}/{self.generation:06d}.json"

    def to_json(self) -> bytes:
        """Return the bytes of the record's file."""
        return canonical_json(self.model_dump(mode="json"))


class Lease:
    """A lease that this process took. `renew` it in time, and `release` it at the end."""

    def __init__(self, storage: Storage, record: LeaseRecord) -> None:
        self._storage, self._record = storage, record

    @property
    def renew_every_s(self) -> float:
        """Seconds between two renewals."""
        return self._record.length_s / _RENEWALS

    def renew(self) -> bool:
        """Show that the driver is alive; return False where another one has taken over, or the lease was deleted."""
        if any(generation > self._record.generation for generation in _generations(self._storage)):
            return False
        try:
            # On a store without conditional writes two may have taken one generation; the last writer keeps it.
            if _read(self._storage, self._record.path).token != self._record.token:
                return False
        except FileAbsent:
            return False
        self._record = self._record.model_copy(update={"renewals": self._record.renewals + 1})
        self._storage.write(self._record.path, self._record.to_json())
        return True

    def release(self) -> None:
        """Let the next driver in at once."""
        if self.renew():
            self._record = self._record.model_copy(update={"released": True})
            self._storage.write(self._record.path, self._record.to_json())


def take_lease(
    storage: Storage,
    driver: Driver,
    *,
    length_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Return the lease on the folder, taken for `driver`; waits only for a holder on another machine that is silent,
    and where storage fails for a moment.

    Args:
        storage: The output folder.
        driver: Who takes it.
        length_s: Seconds without a renewal after which others may take it over.
        clock: Monotonic seconds.
        sleep: Waits so many seconds.

    Raises:
        LeaseHeld: Another driver holds it and is alive.
    """
    watched: LeaseRecord | None = None
    since_s, token = clock(), secrets.token_hex(8)

    def look() -> LeaseRecord | None:
        return patiently(lambda: lease_in_force(storage), sleep=sleep)

    def follow(holder: LeaseRecord | None) -> Lease | None:
        record = _successor(holder, driver, token, length_s)
        return patiently(lambda: _take(storage, record), sleep=sleep)

    while True:
        holder = look()
        if holder is None or holder.released or holder.driver.life() == "gone":
            if lease := follow(holder):
                return lease
            continue
        if holder.driver.life() == "runs":
            raise _held(storage, holder)
        if watched is None:
            watched, since_s = holder, clock()
        elif holder != watched:
            raise _held(storage, holder)
        elif clock() - since_s > holder.length_s and (lease := follow(holder)):
            return lease
        sleep(min(1.0, holder.length_s / 20))


def lease_in_force(storage: Storage) -> LeaseRecord | None:
    """Return the lease of the highest generation, be it released or stale; None where nobody ever took one."""
    while generations := _generations(storage):
        try:
            return _read(storage, f"{FOLDER}/{generations[-1]:06d}.json")
        except FileAbsent:
            continue  # a successor cleared it away after it was listed
    return None


def _successor(holder: LeaseRecord | None, driver: Driver, token: str, length_s: float) -> LeaseRecord:
    """The generation after the holder's."""
    return LeaseRecord(
        generation=holder.generation + 1 if holder else 1,
        token=token,
        driver=driver,
        since=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        length_s=length_s,
    )


def _take(storage: Storage, record: LeaseRecord) -> Lease | None:
    """Create the record; None where somebody else has its generation. May be called again after a failure."""
    if not storage.create(record.path, record.to_json()) and not _is_mine(storage, record):
        return None
    for generation in _generations(storage):
        if generation < record.generation:
            storage.delete(f"{FOLDER}/{generation:06d}.json")
    return Lease(storage, record)


def _is_mine(storage: Storage, record: LeaseRecord) -> bool:
    """Whether the record was created by an earlier call that failed after it."""
    try:
        return _read(storage, record.path).token == record.token
    except FileAbsent:
        return False


def _held(storage: Storage, holder: LeaseRecord) -> LeaseHeld:
    return LeaseHeld(
        f"{storage.url} is being worked on by {holder.driver}, since {holder.since}; wait for its end, or stop it. "
        f"If it cannot be reached, delete {storage.url}/{holder.path}, which also stops it soon, and run again"
    )


def _generations(storage: Storage) -> list[int]:
    matches = (_FILE.match(path) for path in storage.list(FOLDER))
    return sorted(int(match["generation"]) for match in matches if match)


def _read(storage: Storage, path: str) -> LeaseRecord:
    try:
        return parse_json(LeaseRecord, storage.read(path), where=f"{storage.url}/{path}")
    except ConfigError as error:
        raise LedgerError(f"{error}; if no driver works on the folder, delete the file") from error
