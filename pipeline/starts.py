"""Actors that die as they start: Ray restarts them for ever, and this ends it.

Ray is told no number. An actor that used up its restarts while it had no call stayed in Ray Data's pool as one of its
actors, and a pool of such actors waits for ever. Deaths with a call in hand are bounded by the call's own repetitions.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pipeline.errors import PipelineError
from pipeline.patience import patiently
from pipeline.storage import Storage

FOLDER = "starts"


class CannotStart(PipelineError):
    """An actor's process died again and again before it was ready."""


@contextmanager
def counted_start(storage: Storage, *, owner: str, allowed: int) -> Iterator[None]:
    """Start a process that Ray has restarted for `owner`, an actor, inside the block.

    A start is on record until it succeeds, with all those before it that failed; one that raises says so itself.

    Raises:
        CannotStart: `allowed` starts on record died.
    """
    before = [path for path in patiently(lambda: storage.list(FOLDER)) if path.startswith(f"{FOLDER}/{owner}-")]
    path = f"{FOLDER}/{owner}-{secrets.token_hex(4)}"
    try:
        if len(before) >= allowed:
            raise CannotStart(
                f"the model actor died {len(before)} times in a row as it started (actors.max_restarts is {allowed}): "
                "out of memory, or a library that crashes; 'mue doctor' looks at this machine, and the processes' last "
                "words are in Ray's logs"
            )
        patiently(lambda: storage.write(path, b""))
        yield
    finally:
        _forget(storage, [*before, path])


def forget_starts(storage: Storage) -> None:
    """Delete what killed jobs left. Call it while no process of the job runs."""
    _forget(storage, patiently(lambda: storage.list(FOLDER)))


def _forget(storage: Storage, paths: list[str]) -> None:
    for path in paths:
        patiently(partial(storage.delete, path))
