"""Which indexed attention an engine uses. All give the same rows; they differ in speed."""

from __future__ import annotations

import importlib.util

import torch

from mue_model.config import AttentionBackend, ConfigError
from mue_model.engine.attention import GatheredAttention, IndexedAttention
from mue_model.model import MueModel


def indexed_attention(name: AttentionBackend, model: MueModel) -> IndexedAttention:
    """Return the backend called `name`; "auto": the one that reads keys in place here, else the one that copies them.

    Raises:
        ConfigError: The backend cannot serve this model, or its package is not installed.
    """
    if name == "auto":
        name = _in_place(model)
    elif name != "gathered":
        _check(name, model)
    if name == "numba":
        from mue_model.engine.attention_numba import NumbaAttention

        return NumbaAttention(torch.get_num_threads())
    if name == "triton":
        from mue_model.engine.attention_triton import TritonAttention

        return TritonAttention()
    return GatheredAttention()


def _in_place(model: MueModel) -> AttentionBackend:
    if model.device.type == "cuda":
        return "triton" if _installed("triton") else "gathered"
    return "numba" if _numba_knows(model) and _installed("numba") else "gathered"


def _check(name: AttentionBackend, model: MueModel) -> None:
    if not _installed(name):
        raise ConfigError(f"engine.attention = {name}: the package is not installed; install it, or use auto")
    if name == "numba" and not _numba_knows(model):
        place = f"{model.dtype} on {model.device.type}".removeprefix("torch.")
        raise ConfigError(f"engine.attention = numba: knows float32 and float64 on a cpu, not {place}; use auto")


def _numba_knows(model: MueModel) -> bool:
    return model.device.type == "cpu" and model.dtype in (torch.float32, torch.float64)


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
