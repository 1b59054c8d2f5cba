"""Why Ray gave up on a segment, and whether another round may help."""

from __future__ import annotations

import re

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    StreamingGeneratorReplayInconsistentError,
    UserCodeException,
    WorkerCrashedError,
)

from pipeline.errors import PipelineError

_RAYS_WORDS = re.compile(r"\n(?=Failed to .* after \d+/\d+ attempts)")
_DEATHS = (
    *(WorkerCrashedError, NodeDiedError, OutOfMemoryError, ExecutionTimeoutError),
    *(ObjectLostError, StreamingGeneratorReplayInconsistentError),
)
"""What a death gives rise to. What was lost with a node is made anew; a task that was run too often for that leaves its
output lost, and a task run anew on lost input "produces 0 objects", which Ray calls inconsistent."""

_WRAPPED = "The above exception was the direct cause"
"""What Python writes between the traceback of an error and that of the one which was raised for it."""


class SegmentFailed(PipelineError):
    """Ray gave up on a segment. The message has the cause; what was committed before stays committed."""

    def __init__(self, message: str, *, died: bool = False) -> None:
        super().__init__(message)
        self.died = died
        """Because processes died or were stuck, not because a task or an actor's start raised."""


def segment_failed(error: RayError | ExecutionTimeoutError) -> SegmentFailed:
    """Return what the driver is told of an error with which Ray ended a Dataset."""
    advice = "what was committed is kept, and the same command goes on from there; -v shows where it happened"
    return SegmentFailed(f"the job stopped: {_cause(error)}; {advice}", died=_died(error))


def _died(error: BaseException | None) -> bool:
    """Whether a process, or its node, ended or was stuck under the work; an actor that cannot start says so itself."""
    while error is not None:
        if isinstance(error, RayActorError):
            return not error.actor_init_failed
        if isinstance(error, _DEATHS):
            return True
        error = error.__cause__ or getattr(error, "cause", None)
    return False


def _cause(error: RayError | ExecutionTimeoutError) -> str:
    """The innermost reason: what a task raised, or the last line of a remote traceback."""
    if isinstance(error, ExecutionTimeoutError):
        return "its tasks and actors made no progress for too long: they are stuck, or have no CPUs to run on"
    raised = getattr(error, "cause", None)
    if isinstance(raised, PipelineError):
        return _own_words(raised)
    text = str(error)
    if isinstance(raised, UserCodeException):
        # Ray Data's wrapper only says that a function failed; what it raised did not travel, only its traceback did.
        text = text.partition(_WRAPPED)[0]
    elif isinstance(raised, Exception):
        return f"{type(raised).__name__}: {_own_words(raised)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _own_words(raised: Exception) -> str:
    """Without what Ray Data appends to the message itself: which of its settings would try again."""
    return _RAYS_WORDS.split(str(raised), maxsplit=1)[0]
