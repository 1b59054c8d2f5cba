"""How many rows the memory of the device can hold in flight."""

from __future__ import annotations

import psutil
import torch

from mue_model.config import ModelConfig

SHARE_OF_FREE = 0.5
"""Of the memory that is free when an engine starts, what rows in flight may take: layers need some, and others too."""


def row_bytes(config: ModelConfig, memory_tokens: int, steps: int, itemsize: int) -> int:
    """Return the bytes that a row in the decoder takes when its tokens have reached all layers."""
    keys_values = 2 * config.decoder_layers * (memory_tokens + steps)
    states = memory_tokens + steps + 1
    return (keys_values + states) * config.d_model * itemsize


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on `device`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def budget_bytes(memory_mib: int | None, device: torch.device) -> int:
    """Return what rows in flight may take: as told, else a share of what is free now."""
    return memory_mib * 2**20 if memory_mib else int(free_bytes(device) * SHARE_OF_FREE)
