"""The first bytes of model.safetensors, checked against its size before all of it is read. No torch import.

A sparse file of eight tebibytes takes no room on a disk and hours to hash.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mue_model.brief import brief
from mue_model.regular_file import MOST_BYTES, open_regular

MOST_WEIGHT_BYTES = 64 << 30
"""Many times the largest published OFA, in 32 bits."""
_LENGTH_BYTES = 8
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


def check_weights_header(path: Path) -> None:
    """Return if the file is exactly as long as its header says, and no longer than weights can be.

    Raises:
        ValueError: It is not. The message is short whatever the file holds.
        OSError: It cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_WEIGHT_BYTES:
            raise ValueError(f"has {size:,} bytes, over the limit of {MOST_WEIGHT_BYTES:,}")
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > min(MOST_BYTES, size - _LENGTH_BYTES):
            raise ValueError(f"is no safetensors file: its first {_LENGTH_BYTES} bytes are no length of a header")
        header = file.read(length)
    try:
        tensors = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ValueError("is no safetensors file: its header is no JSON") from error
    if not isinstance(tensors, dict):
        raise ValueError("is no safetensors file: its header is no JSON object")
    tensors.pop("__metadata__", None)
    spans = sorted(_span(name, tensor) for name, tensor in tensors.items())
    end = 0
    for begin, following, name in spans:
        if begin != end:
            raise ValueError(f"tensor {brief(name)} begins at byte {begin}, and what is before it ends at {end}")
        end = following
    if (found := size - _LENGTH_BYTES - length) != end:
        raise ValueError(f"has {found:,} bytes of weights, and its header tells of {end:,}; copy it anew")


def _span(name: str, tensor: Any) -> tuple[int, int, str]:
    """Return where a tensor's bytes lie, which are as many as its shape takes."""
    told: Any = tensor if isinstance(tensor, dict) else {}
    dtype, shape, offsets = (told.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (isinstance(dtype, str) and _sizes(shape) and _sizes(offsets) and len(offsets) == 2):
        raise ValueError(f"tensor {brief(name)} needs dtype, shape and data_offsets, not {brief(tensor)}")
    if dtype not in _BITS:
        raise ValueError(f"tensor {brief(name)} has the dtype {brief(dtype)}; expected one of {', '.join(_BITS)}")
    # Step by step: a shape of a million large sizes would be a number of millions of digits.
    n_bytes = 0 if 0 in shape else _BITS[dtype] // 8
    for side in shape:
        n_bytes *= side
        if n_bytes > MOST_WEIGHT_BYTES:
            break
    begin, end = offsets
    if end - begin != n_bytes:
        raise ValueError(f"tensor {brief(name)} of shape {brief(shape)} has {brief(end - begin)} bytes in the file")
    return begin, end, name


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 1 << 63 for size in value)
