"""How a running job is asked to end, and the two ways in which it does: drained, or at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from pipeline.control import StopWatch, read_control, request_stop
from pipeline.exit_codes import ExitCode
from pipeline.lease_keeper import held_lease
from pipeline.ledger import Ledger
from pipeline.spec import JobSpec
from pipeline.storage import Storage, StorageError

logger = logging.getLogger(__name__)

_SIGNALS = {signal.SIGTERM: ExitCode.INTERRUPTED, signal.SIGINT: ExitCode.SIGINT}


class StopNow(BaseException):
    """The job ends at once. Not an `Exception`: nothing between the signal and the run may swallow it."""


@dataclass(frozen=True, kw_only=True)
class StopCause:
    """Why a job ends early."""

    exit_code: ExitCode
    reason: str
    """As in "stopped by SIGTERM"."""


class JobStop:
    """The first SIGTERM or Ctrl-C lets the rows in hand finish, a second one, or `drain_s`, ends the job at once.

    Outside `draining` there is nothing in hand, and the first one ends it. Only the main thread hears signals; others
    may still ask by `request`.
    """

    def __init__(self, storage: Storage, attempt: str, *, drain_s: float) -> None:
        self._storage, self._attempt, self._drain_s = storage, attempt, drain_s
        self._watch = StopWatch(storage.url, attempt)
        self._main = threading.main_thread()
        self._lock = threading.RLock()  # a handler may run while its own thread holds it
        self._draining = False
        self._drained = threading.Event()
        self._drained.set()
        self.cause: StopCause | None = None
        """Why the job is to end; None while it is not. The first cause counts."""

    def request(self, cause: StopCause) -> None:
        """Ask for a drained end, from any thread; returns at once."""
        with self._lock:
            if self.cause is not None:
                return
            self.cause = cause
        threading.Thread(target=self._drain, name="mue-drain", daemon=True).start()

    def look(self) -> None:
        """Notice a request that somebody else left in `control.json`, and see to it that ours stays there."""
        if self.cause is None and self._watch.stopped():
            self.request(StopCause(exit_code=ExitCode.INTERRUPTED, reason="stopped by a request in control.json"))
        elif self.cause is not None and self._draining and read_control(self._storage).stop != self._attempt:
            request_stop(self._storage, self._attempt)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear signals inside the block; handlers as they were afterwards."""
        if threading.current_thread() is not self._main:
            yield
            return
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def draining(self) -> Iterator[None]:
        """Have rows in hand inside the block, which a stop lets finish."""
        self._drained.clear()
        self._draining = True
        try:
            yield
        finally:
            with self._lock:
                self._draining = False
                self._drained.set()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._draining and self.cause is None:
            self.request(_cause(number))
            return
        self.cause = self.cause or _cause(number)
        for every in _SIGNALS:  # a further one must not disturb the cleaning up
            signal.signal(every, signal.SIG_IGN)
        raise StopNow(f"{self.cause.reason}, at once")

    def _drain(self) -> None:
        """Tell every process of the job, and end it when the time is over."""
        assert self.cause is not None
        told = "%s: rows in hand finish and are committed, for at most %g s; a second signal ends at once"
        logger.warning(told, self.cause.reason, self._drain_s)
        try:
            request_stop(self._storage, self._attempt)
        except StorageError as error:
            logger.warning("the job's processes cannot be told to finish (%s); it stops at once", error)
        else:
            if self._drained.wait(self._drain_s):
                return
            logger.warning("rows were still in hand after %g s; the job stops at once", self._drain_s)
        with self._lock:
            if not self._drained.is_set() and self._main.ident is not None:
                signal.pthread_kill(self._main.ident, signal.SIGTERM)


@contextmanager
def driving(ledger: Ledger, spec: JobSpec, attempt: str, stop: JobStop) -> Iterator[None]:
    """Be the one driver of the folder inside the block; `stop` is asked for if another one takes over.

    Raises:
        LeaseHeld: Another driver works on the folder.
    """
    reason = f"{ledger.storage.url}: another driver has taken over, or the lease was deleted"
    lost = StopCause(exit_code=ExitCode.FAILURE, reason=reason)
    with held_lease(ledger.storage, attempt=attempt, length_s=spec.output.lease_s, on_lost=lambda: stop.request(lost)):
        yield


def _cause(number: int) -> StopCause:
    name = signal.Signals(number).name
    return StopCause(exit_code=_SIGNALS[signal.Signals(number)], reason=f"stopped by {name}")
