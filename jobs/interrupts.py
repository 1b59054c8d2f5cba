"""SIGTERM as an exception, so that a stopped job still records how it ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """SIGTERM arrived. Not an `Exception`: nothing between the signal and the run may swallow it."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Turn SIGTERM into `Interrupted` inside the block; only the main thread can, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Whether SIGTERM or Ctrl-C asked for an end; the work stops where it can be taken up again."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.signal is not None


@contextmanager
def signals_request_stop() -> Iterator[StopRequest]:
    """Turn the first SIGTERM or SIGINT in the block into a request; a second SIGINT interrupts at once.

    Only the main thread can; elsewhere nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and request():
            raise KeyboardInterrupt
        request.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
