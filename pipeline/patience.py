"""Storage that fails for a moment: the same call again, a few times, with growing pauses."""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pipeline.storage import StorageError

logger = logging.getLogger(__name__)

PAUSES_S = (1.0, 3.0, 9.0, 27.0)
"""Pauses between the calls; an object store's client has tried several times by itself before each."""
_PASSING = {
    *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EPIPE),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ENETUNREACH, errno.EHOSTUNREACH),
}
_PASSING_NAMES = ("ConnectionError", "ConnectionClosedError", "TimeoutError", "DisconnectedError")
"""How the clients of object stores call it; their errors have no common base."""

ResultT = TypeVar("ResultT")


def patiently(
    call: Callable[[], ResultT], *, pauses_s: Sequence[float] = PAUSES_S, sleep: Callable[[float], None] = time.sleep
) -> ResultT:
    """Return `call()`, which must be safe to repeat; again after each pause where storage failed for a moment.

    Raises:
        StorageError: Storage failed in a way that no waiting mends, or after the last pause too.
    """
    for pause_s in pauses_s:
        try:
            return call()
        except StorageError as error:
            if not is_passing(error):
                raise
            logger.warning("%s; trying again in %g s", error, pause_s)
            # Many processes are turned away at the same moment: they must not all come back at the same.
            sleep(pause_s * random.uniform(0.5, 1.5))
    return call()


def is_passing(error: StorageError) -> bool:
    """Return whether storage may well do the same a moment later: it was busy or out of reach."""
    return any(_may_pass(cause) for cause in _causes(error))


def _may_pass(cause: BaseException) -> bool:
    response = getattr(cause, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(response, dict) else 0
    if status >= 500 or isinstance(cause, ConnectionError | TimeoutError):
        return True
    if isinstance(cause, OSError) and cause.errno is not None:
        return cause.errno in _PASSING
    return type(cause).__name__.endswith(_PASSING_NAMES)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
