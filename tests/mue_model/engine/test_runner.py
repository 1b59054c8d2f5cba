"""What a row is told of a failure; who halves groups and how is in `test_engine.py` and `test_dense.py`."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from mue_model.engine.runner import row_error

REFUSED = """
import resource, torch
from mue_model.engine.runner import row_error
torch.zeros(1)
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    torch.empty(1 << 30)
except Exception as failure:
    print(type(failure).__name__, row_error(failure).code, row_error(failure).message)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_memory_that_the_machine_refuses_is_told_from_a_fault_of_the_model() -> None:
    said = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, check=True).stdout
    assert said.startswith("RuntimeError out_of_memory ")
    assert "4294967296 bytes" in said, "how much was asked for"


@pytest.mark.parametrize("failure", [MemoryError("none left"), torch.OutOfMemoryError("none left")])
def test_classes_that_say_so_themselves(failure: Exception) -> None:
    assert row_error(failure).code == "out_of_memory"


def test_any_other_error_is_the_model_s() -> None:
    error = row_error(RuntimeError("shapes do not fit"))
    assert (error.code, error.message) == ("model_error", "RuntimeError: shapes do not fit")
