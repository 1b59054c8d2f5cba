from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mue_model.weights_header import MOST_WEIGHT_BYTES, check_weights_header

A = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
B = {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]}


def write(path: Path, header: Any, n_bytes: int) -> Path:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    os.truncate(path, 8 + len(data) + n_bytes)
    return path


def test_what_safetensors_writes_passes(tmp_path: Path) -> None:
    dtypes = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn)
    tensors = {str(dtype): torch.zeros((3, 2), dtype=dtype) for dtype in dtypes}
    save_file({**tensors, "none": torch.zeros((0, 5)), "one": torch.tensor(1.0)}, tmp_path / "a", metadata={"a": "b"})
    check_weights_header(tmp_path / "a")
    save_file({}, tmp_path / "b")
    check_weights_header(tmp_path / "b")
    check_weights_header(write(tmp_path / "c", {"b": B, "a": A}, 26))


@pytest.mark.parametrize(
    ("header", "n_bytes", "said"),
    [
        ({"a": A, "b": B}, 27, "has 27 bytes of weights, and its header tells of 26"),
        ({"a": A, "b": B}, 25, "has 25 bytes of weights, and its header tells of 26"),
        ({"a": A, "b": B}, 1 << 34, "has 17,179,869,184 bytes of weights"),
        ({"a": A, "b": B}, MOST_WEIGHT_BYTES, "over the limit"),
        ({"a": A, "b": {**B, "data_offsets": [25, 27]}}, 27, "'b' begins at byte 25, and what is before it ends at 24"),
        ({"a": A, "b": {**B, "data_offsets": [22, 24]}}, 24, "'b' begins at byte 22"),
        ({"a": {**A, "data_offsets": [0, 20]}}, 20, r"'a' of shape \[2, 3\] has 20 bytes"),
        ({"a": {**A, "data_offsets": [24, 0]}}, 24, "has -24 bytes"),
        ({"a": {**A, "shape": [1 << 40] * 100_000}}, 24, "has 24 bytes"),
        ({"a": {**A, "shape": [-2, -3]}}, 24, "needs dtype, shape and data_offsets"),
        ({"a": {**A, "shape": [2, True]}}, 24, "needs dtype, shape and data_offsets"),
        ({"a": {**A, "shape": ["x" * 2_000_000]}}, 24, "needs dtype, shape and data_offsets"),
        ({"a": {**A, "data_offsets": [0, 24, 48]}}, 24, "needs dtype, shape and data_offsets"),
        ({"a": {**A, "dtype": "x" * 2_000_000}}, 24, "has the dtype 'x"),
        ({"x" * 2_000_000: 1}, 24, "needs dtype, shape and data_offsets, not 1"),
        (b"[" * 99_999, 24, "its header is no JSON"),
        (b"[]", 24, "no JSON object"),
        (b"\xff", 24, "its header is no JSON"),
        (b"", 24, "its header is no JSON"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_header_that_does_not_fit_is_refused_shortly(tmp_path: Path, header: Any, n_bytes: int, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        check_weights_header(write(tmp_path / "a", header, n_bytes))
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 8, (99).to_bytes(8, "little") + b"{}"])
def test_a_file_too_short_for_its_header_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(ValueError, match="are no length of a header"):
        check_weights_header(tmp_path / "a")
