"""The dense engine as it runs on CUDA. Without a GPU the Triton kernels are interpreted; what else needs one skips."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mue_model import reference
from mue_model.config import AttentionBackend, EngineConfig, GenerationConfig
from mue_model.engine.backends import indexed_attention
from mue_model.engine.engine import Engine
from mue_model.exits import CosineExit, NeverExit
from mue_model.loading import make_runner
from mue_model.rows import Candidate

HAS_CUDA = torch.cuda.is_available()
DEVICE = "cuda" if HAS_CUDA else "cpu"
CANDIDATES = (Candidate(label="yes", ids=(5, 2)), Candidate(label="no", ids=(6, 7, 2)))
needs_cuda = pytest.mark.skipif(not HAS_CUDA, reason="needs a CUDA device")


@pytest.fixture
def model_on_device(small_model: Any) -> Any:
    return lambda dtype: copy.deepcopy(small_model(dtype=dtype, streams="decomposed")).to(DEVICE)


@pytest.mark.parametrize("attention", ["triton", "gathered"])
@pytest.mark.parametrize("beams", [1, 3])
def test_every_row_is_the_row_alone(
    model_on_device: Any, make_rows: Any, attention: AttentionBackend, beams: int
) -> None:
    pytest.importorskip("triton")
    model, generation = model_on_device("float64"), GenerationConfig(max_tokens=6, beams=beams)
    rows = [
        replace(row, candidates=CANDIDATES if n % 3 == 2 else ())
        for n, row in enumerate(make_rows(6 if attention == "triton" and not HAS_CUDA else 24))
    ]
    exits = CosineExit({"image": [0.97] * 4, "text": [0.97] * 4, "decoder": [0.93] * 4})
    config = EngineConfig(group_size=4, image_group_size=2, attention=attention)
    engine = Engine(make_runner(model, exits, generation, "propagate", config), str)
    try:
        results = engine.submit(rows).result()
    finally:
        engine.close()
    for row, ours in zip(rows, results, strict=True):
        theirs = reference.run_row(model, row, exits, generation)
        assert (ours.error, ours.tokens, ours.trace) == (None, theirs.tokens, theirs.trace)
        assert ours.scores == pytest.approx(theirs.scores, abs=1e-9)
    assert len({result.trace.decoder for result in results if result.trace}) > 1, "depths vary"


COMPILE = """
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mue_model.engine import attention_triton

numbers = ("heads", "bias_steps", "tokens", "tokens2", "longest")
floats = ("queries", "out", "keys", "values", "bias", "keys2", "values2", "bias2")


def type_of(name, constants, dtype):
    if name in constants:
        return "constexpr"
    return "i32" if name in numbers else "*" + dtype if name in floats else "*i64"


for dtype, kind in (("fp16", tl.float32), ("bf16", tl.float32), ("fp32", tl.float32), ("fp64", tl.float64)):
    constants = {"width": 64, "wide": 64, "block": 64, "kind": kind}
    for kernel, more in (("_cross", {"both": True}), ("_cross", {"both": False}), ("_own", {})):
        function, own = getattr(attention_triton, kernel), constants | more
        signature = {name: type_of(name, own, dtype) for name in function.arg_names}
        source = ASTSource(fn=function, signature=signature, constexprs=own)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
        print(kernel, dtype)
"""


def test_the_kernels_compile_for_cuda_without_a_gpu(tmp_path: Path) -> None:
    """The interpreter takes more than the compiler does."""
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_DEFAULT_FP_FUSION": "1"}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, stdout=subprocess.PIPE, check=True)
    assert len(done.stdout.splitlines()) == 12


@needs_cuda
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_rows_of_every_dtype_come_back(model_on_device: Any, make_rows: Any, dtype: str) -> None:
    model, rows, generation = model_on_device(dtype), make_rows(9), GenerationConfig(max_tokens=6)
    engine = Engine(make_runner(model, NeverExit(), generation, "propagate", EngineConfig(group_size=4)), str)
    try:
        assert all(result.error is None and result.tokens for result in engine.submit(rows).result())
    finally:
        engine.close()


@needs_cuda
def test_cuda_reads_keys_in_place(model_on_device: Any) -> None:
    assert type(indexed_attention("auto", model_on_device("float32"))).__name__ == "TritonAttention"
