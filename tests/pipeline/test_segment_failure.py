"""What is said, and what is done next, when Ray gives up on a segment."""

from __future__ import annotations

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import (
    ActorDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    StreamingGeneratorReplayInconsistentError,
    UserCodeException,
    WorkerCrashedError,
)

from pipeline.segment_failure import segment_failed
from pipeline.storage import StorageError


def said(error: RayError) -> str:
    """The cause alone."""
    return str(segment_failed(error)).removeprefix("the job stopped: ").partition("; what was committed")[0]


def test_the_cause_is_the_last_line_of_a_remote_traceback() -> None:
    assert said(RayError("Traceback\n  File x\n\nValueError: no such thing\n\n")) == "ValueError: no such thing"
    assert said(RayError("")) == "RayError"


def test_what_a_task_raised_is_not_buried_under_ray_s_advice() -> None:
    advice = "the disk is full\nTo change retry attempts, configure `DataContext`"
    ours = RayTaskError("write", advice, StorageError("the disk is full"))
    assert said(ours) == said(ours.as_instanceof_cause()) == "the disk is full"
    assert said(RayTaskError("write", advice, ValueError("no such thing"))) == "ValueError: no such thing"


def test_what_a_function_raised_is_not_hidden_by_ray_s_wrapper() -> None:
    """As Ray 2.60 tells the driver of an error in a function of `map_batches`."""
    remote = (
        "ray::MapBatches(decode)() (pid=1, ip=127.0.0.1)\n    json.loads(text)\nRecursionError: too deep here\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "ray::MapBatches(decode)() (pid=1, ip=127.0.0.1)\n    raise UserCodeException\n"
        "ray.exceptions.UserCodeException: UDF failed to process a data block.\nTo change retry attempts, configure x"
    )
    wrapped = RayTaskError("map", remote, UserCodeException("UDF failed to process a data block."))
    assert said(wrapped) == said(wrapped.as_instanceof_cause()) == "RecursionError: too deep here"


def test_what_ray_data_adds_to_the_message_itself_is_left_out() -> None:
    added = (
        "the disk is full\nFailed to apply UDF transform after 1/1 attempts (total backoff 0.0s).\n"
        "To change retry attempts, configure `ray.data.DataContext.get_current()`"
    )
    assert said(RayTaskError("write", "", StorageError(added))) == "the disk is full"
    assert said(RayTaskError("write", "", ValueError(added))) == "ValueError: the disk is full"


def test_a_death_is_told_from_a_start_that_raised() -> None:
    assert segment_failed(ActorDiedError()).died
    assert segment_failed(WorkerCrashedError()).died
    assert segment_failed(ObjectLostError("0" * 56, None, "")).died
    assert segment_failed(StreamingGeneratorReplayInconsistentError("0 objects")).died
    assert segment_failed(ExecutionTimeoutError("no progress")).died
    assert "made no progress" in str(segment_failed(ExecutionTimeoutError("no progress")))
    assert not segment_failed(RayActorError(actor_init_failed=True)).died
    assert not segment_failed(RayError("ValueError: no such thing")).died
    with_cause = RayError("the dataset failed")
    with_cause.__cause__ = OutOfMemoryError("killed")
    assert segment_failed(RayTaskError("write", "its input", NodeDiedError("gone"))).died
    assert segment_failed(with_cause).died
