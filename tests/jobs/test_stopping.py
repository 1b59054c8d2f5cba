"""Signals to a running job: the first one drains, the second one ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from jobs.stopping import JobStop, StopCause, StopNow
from pipeline.control import StopWatch, request_stop
from pipeline.exit_codes import ExitCode
from pipeline.storage import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path))


def wait_until_told(storage: Storage, attempt: str = "a1") -> None:
    deadline = time.monotonic() + 10
    while not StopWatch(storage.url, attempt).stopped():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, ExitCode.INTERRUPTED), (signal.SIGINT, ExitCode.SIGINT)])
def test_the_first_signal_tells_every_process_and_lets_the_work_finish(
    storage: Storage, number: signal.Signals, code: ExitCode
) -> None:
    before = signal.getsignal(number)
    stop = JobStop(storage, "a1", drain_s=30)
    with stop.listening(), stop.draining():
        os.kill(os.getpid(), number)
        wait_until_told(storage)
    assert stop.cause is not None
    assert (stop.cause.exit_code, stop.cause.reason) == (code, f"stopped by {number.name}")
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_at_once_and_a_third_disturbs_nothing(storage: Storage) -> None:
    stop = JobStop(storage, "a1", drain_s=30)
    with stop.listening():
        with pytest.raises(StopNow), stop.draining():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.cause is not None
    assert stop.cause.exit_code is ExitCode.INTERRUPTED, "the first cause counts"


def test_without_anything_in_hand_the_first_signal_ends(storage: Storage) -> None:
    stop = JobStop(storage, "a1", drain_s=30)
    with pytest.raises(StopNow), stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.cause is not None
    assert stop.cause.exit_code is ExitCode.SIGINT


def test_a_drain_that_takes_too_long_is_cut_off(storage: Storage) -> None:
    stop = JobStop(storage, "a1", drain_s=0.2)
    began = time.monotonic()
    with stop.listening(), pytest.raises(StopNow), stop.draining():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    assert time.monotonic() - began < 10


def test_a_job_whose_processes_cannot_be_told_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    stop = JobStop(Storage.open(str(tmp_path / "out")), "a1", drain_s=30)
    began = time.monotonic()
    with stop.listening(), pytest.raises(StopNow), stop.draining():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)
    assert time.monotonic() - began < 10


def test_a_request_from_outside_is_noticed(storage: Storage) -> None:
    stop = JobStop(storage, "a1", drain_s=30)
    stop.look()
    assert stop.cause is None
    request_stop(storage, "a1")
    stop = JobStop(storage, "a1", drain_s=30)
    stop.look()
    assert stop.cause is not None
    assert stop.cause.exit_code is ExitCode.INTERRUPTED


def test_a_request_with_nothing_in_hand_kills_nobody(storage: Storage) -> None:
    """As from a failure budget that was exceeded before the job began."""
    stop = JobStop(storage, "a1", drain_s=0)
    with stop.listening():
        stop.request(StopCause(exit_code=ExitCode.FAILURE_BUDGET, reason="too much failed"))
        stop.request(StopCause(exit_code=ExitCode.INTERRUPTED, reason="another"))
        wait_until_told(storage)
        time.sleep(0.1)
    assert stop.cause is not None
    assert stop.cause.reason == "too much failed"


def test_other_threads_change_no_handlers(storage: Storage) -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with JobStop(storage, "a1", drain_s=1).listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
