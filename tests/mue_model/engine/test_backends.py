"""Which attention serves which model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from mue_model.config import ConfigError
from mue_model.engine.attention import GatheredAttention
from mue_model.engine.attention_numba import NumbaAttention
from mue_model.engine.backends import indexed_attention


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cpu_reads_keys_in_place(small_model: Any, dtype: str) -> None:
    assert isinstance(indexed_attention("auto", small_model(dtype=dtype)), NumbaAttention)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_numba_does_not_know_is_gathered(small_model: Any, dtype: str) -> None:
    model = small_model(dtype=dtype)
    assert isinstance(indexed_attention("auto", model), GatheredAttention)
    with pytest.raises(ConfigError, match=f"numba: knows float32 and float64 on a cpu, not {dtype} on cpu; use auto"):
        indexed_attention("numba", model)


@pytest.mark.parametrize("package", ["numba", "triton"])
def test_a_backend_whose_package_is_missing_says_so_and_auto_gathers(
    small_model: Any, monkeypatch: pytest.MonkeyPatch, package: Any
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(ConfigError, match=f"engine.attention = {package}: the package is not installed"):
        indexed_attention(package, small_model())
    if package == "numba":
        assert isinstance(indexed_attention("auto", small_model()), GatheredAttention)


def test_numba_does_not_claim_more_cores_for_torch() -> None:
    """Both share one OpenMP, and numba's first kernel sets it to all cores. torch's own count does not show it."""
    code = (
        "import time, torch; torch.set_num_threads(1)\n"
        "from mue_model.engine.attention_numba import NumbaAttention\n"
        "NumbaAttention(1)\n"
        "values = torch.randn(1000, 1000)\n"
        "wall, cpu = time.perf_counter(), time.process_time()\n"
        "while time.perf_counter() - wall < 0.7: torch.nn.functional.gelu(values)\n"
        "print((time.process_time() - cpu) / (time.perf_counter() - wall))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert float(done.stdout) < 1.25, "one thread was asked for"
