"""Something done again and again beside the main thread: looking at receipts, budgets and requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.watching import pause_after
from pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds between two looks."""


@contextmanager
def regularly(look: Callable[[], None]) -> Iterator[None]:
    """Call `look` on a thread of its own while the block runs, every second or so; storage may fail for a moment."""
    done = threading.Event()

    def poll() -> None:
        pause_s = POLL_S
        while not done.wait(pause_s):
            began = time.monotonic()
            try:
                look()
            except PipelineError as error:
                logger.warning("cannot look at the output (%s); trying again", error)
            pause_s = pause_after(time.monotonic() - began, every_s=POLL_S)

    thread = threading.Thread(target=poll, name="mue-look", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
