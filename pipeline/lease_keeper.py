"""Keeps a lease alive while a driver works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.driver_identity import Driver
from pipeline.errors import PipelineError
from pipeline.lease import Lease, take_lease
from pipeline.storage import Storage

logger = logging.getLogger(__name__)


class LeaseKeeper:
    """A thread that renews a lease, and says when another driver has taken it over."""

    def __init__(self, lease: Lease, on_lost: Callable[[], None]) -> None:
        self._lease, self._on_lost = lease, on_lost
        self._ended, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mue-lease", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another driver has taken over. What this one commits is still right, but done twice."""
        return self._lost.is_set()

    def end(self) -> None:
        """Stop renewing and give the lease back."""
        self._ended.set()
        self._thread.join()
        if not self.lost:
            try:
                self._lease.release()
            except PipelineError as error:
                logger.warning("the lease could not be given back and runs out by itself: %s", error)

    def _run(self) -> None:
        while not self._ended.wait(self._lease.renew_every_s):
            try:
                kept = self._lease.renew()
            except PipelineError as error:
                # Nobody can have proven that we are gone before the lease's time is over; then renew() says so.
                logger.warning("the lease could not be renewed, the next try follows: %s", error)
                continue
            if not kept:
                self._lost.set()
                self._on_lost()
                return


@contextmanager
def held_lease(
    storage: Storage, *, attempt: str, length_s: float, on_lost: Callable[[], None] = lambda: None
) -> Iterator[LeaseKeeper]:
    """Have this process be the one driver of the folder inside the block.

    Args:
        storage: The output folder.
        attempt: The attempt at the job, for the message that others get.
        length_s: Seconds without a sign of life after which another machine may take over.
        on_lost: Called once, in another thread, where another driver has taken over.

    Raises:
        LeaseHeld: Another driver holds it and is alive.
    """
    keeper = LeaseKeeper(take_lease(storage, Driver.this(attempt), length_s=length_s), on_lost)
    try:
        yield keeper
    finally:
        keeper.end()
