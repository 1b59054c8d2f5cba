"""Whether a driver lives, told by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipeline.driver_identity import Driver

_CHILD = """
import sys
from pipeline.driver_identity import Driver
print(Driver.this("child").model_dump_json(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], Driver]]:
    """A process, and how it describes itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    yield process, Driver.model_validate_json(process.stdout.readline())
    process.kill()
    process.communicate()


def test_this_process_runs() -> None:
    driver = Driver.this("a1")
    assert (driver.pid, driver.life()) == (os.getpid(), "runs")
    assert str(driver) == f"process {os.getpid()} on {driver.host} (attempt a1)"


def test_another_process_runs_until_it_is_dead(child: tuple[subprocess.Popen[str], Driver]) -> None:
    process, driver = child
    assert (driver.pid, driver.life()) == (process.pid, "runs")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert driver.life() == "gone", "dead, though nobody has asked for its exit code yet"
    process.wait()
    assert driver.life() == "gone"


def test_a_new_process_with_an_old_id_is_another_one(child: tuple[subprocess.Popen[str], Driver]) -> None:
    _, driver = child
    assert driver.model_copy(update={"started": "1"}).life() == "gone"


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"place": "another start, or another container"}])
def test_elsewhere_nothing_is_known(child: tuple[subprocess.Popen[str], Driver], changes: dict[str, str]) -> None:
    process, driver = child
    process.kill()
    process.wait()
    assert driver.model_copy(update=changes).life() == "unknown"
