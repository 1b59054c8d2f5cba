"""Something done again and again beside the main thread: looking at receipts, budgets and requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.storage import StorageError

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds between two looks."""


@contextmanager
def regularly(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` every second on a thread of its own while the block runs; storage may fail for a moment."""
    done = threading.Event()

    def poll() -> None:
        while not done.wait(POLL_S):
            try:
                look()
            except StorageError as error:
                logger.warning("cannot look at the output (%s); trying again", error)

    thread = threading.Thread(target=poll, name="mue-look", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
