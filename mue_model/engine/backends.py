"""Which indexed attention an engine uses. All give the same rows; they differ in speed."""

from __future__ import annotations

import torch

from mue_model.config import AttentionBackend
from mue_model.engine.attention import GatheredAttention, IndexedAttention
from mue_model.model import MueModel


def indexed_attention(name: AttentionBackend, model: MueModel) -> IndexedAttention:
    """Return the backend called `name`; "auto": in place on a CPU where numba is at hand, else gathered."""
    in_place = model.device.type == "cpu" and model.dtype in (torch.float32, torch.float64)
    if name == "gathered" or not in_place:
        return GatheredAttention()
    try:
        from mue_model.engine.attention_numba import NumbaAttention
    except ImportError:
        if name == "numba":
            raise
        return GatheredAttention()
    return NumbaAttention(torch.get_num_threads())
