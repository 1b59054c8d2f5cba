"""Asking the cache for memory: it must be in the machine code, and change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from mue_model.engine.prefetch import prefetch


@njit
def asked(flat: Any, start: int, count: int) -> None:
    prefetch(flat, start, count)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_prefetch_is_compiled_and_reads_and_writes_nothing(dtype: str) -> None:
    numbers = np.arange(100, dtype=dtype)
    asked(numbers, 0, 100)
    asked(numbers, 90, 1 << 20)  # far behind the end
    assert np.array_equal(numbers, np.arange(100, dtype=dtype))
    code = asked.inspect_asm(asked.signatures[-1]).lower()
    assert "prefetch" in code or "prfm" in code
