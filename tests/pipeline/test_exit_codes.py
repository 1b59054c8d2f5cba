"""Exit codes leave the process as the numbers that scripts test for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.exit_codes import ExitCode


@pytest.mark.parametrize(
    ("name", "number"), [("OK", 0), ("USAGE", 2), ("FAILURE_BUDGET", 3), ("INTERRUPTED", 75), ("SIGINT", 130)]
)
def test_leave_the_process_as_numbers(name: str, number: int) -> None:
    code = ExitCode[name]
    assert int(code) == number
    assert subprocess.run([sys.executable, "-S", "-c", f"raise SystemExit({code:d})"]).returncode == number
