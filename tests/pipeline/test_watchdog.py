"""A process that is stuck ends, and one that is only slow does not. In processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
import re, sys, time
from pipeline.watchdog import Watchdog, ends_process_after
def stuck():  # in C, with the interpreter's lock
    re.match(r"(a+)+$", "a" * 60 + "b")
"""
CASES = {
    "a block in C code": ("with ends_process_after(0.3): stuck()", True),
    "a block in time": ("with ends_process_after(0.3): pass\ntime.sleep(0.6)", False),
    "work in C code": ("dog = Watchdog(0.5, lambda: 0)\nwith dog.working(): stuck()", True),
    "work that makes no turn": ("dog = Watchdog(0.5, lambda: 0)\nwith dog.working(): time.sleep(30)", True),
    "work that goes on": (
        "dog = Watchdog(0.5, lambda: time.monotonic_ns())\nwith dog.working(): time.sleep(1.5)",
        False,
    ),
    "nothing in hand": ("dog = Watchdog(0.5, lambda: 0)\ntime.sleep(1.5)", False),
}


@pytest.mark.parametrize("case", CASES)
def test_the_process_ends_if_and_only_if_it_is_stuck(case: str) -> None:
    body, ends = CASES[case]
    done = subprocess.run([sys.executable, "-c", HEAD + body], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0) is ends, done.stderr
    assert ("Timeout" in done.stderr) is ends, "the traceback says where it was stuck"
