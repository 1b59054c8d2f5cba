"""Where tokens are: OFA's positions act only through attention biases (arXiv 2202.03052 and its published code).

Two biases are added to the attention logits: an absolute one, the scaled product of projected position
embeddings, shared by all layers; and a relative one per layer, looked up by bucket inside one modality.
Both depend on positions only, never on the input.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def token_buckets(query_positions: Tensor, key_positions: Tensor, bucket_size: int, max_position: int = 1024) -> Tensor:
    """Return the bucket index [Q, K] of each (query, key) distance: exact when near, logarithmic when far."""
    distance = query_positions[:, None] - key_positions[None, :]
    half = bucket_size // 2
    # Distances inside the exact range are clamped so that the logarithm below stays defined.
    magnitude = torch.where(distance.abs() < half, half - 1, distance.abs())
    log_scale = torch.log(magnitude.double() / half) / math.log((max_position - 1) / half)
    far = torch.ceil(log_scale * (half - 1)).long() + half
    return torch.where(magnitude <= half, distance, far * distance.sign()) + bucket_size - 1


def image_position_ids(grid: tuple[int, int], bucket_size: int, device: torch.device | None = None) -> Tensor:
    """Return the position ids [P] of a grid, row by row: row * bucket_size + column + 1 (0 is unused).

    Raises:
        ValueError: A side is longer than `bucket_size`; its last columns would pass for the next row's first.
    """
    if max(grid) > bucket_size:
        raise ValueError(f"a grid of {grid[0]} x {grid[1]} patches; the model has positions for {bucket_size} a side")
    rows = torch.arange(grid[0], device=device)[:, None]
    columns = torch.arange(grid[1], device=device)[None, :]
    return (rows * bucket_size + columns + 1).flatten()


def image_buckets(grid: tuple[int, int], bucket_size: int, device: torch.device | None = None) -> Tensor:
    """Return the bucket index [P, P] of each pair of patches, by row and column distance."""
    rows = torch.arange(grid[0], device=device)[:, None].expand(grid).flatten()
    columns = torch.arange(grid[1], device=device)[None, :].expand(grid).flatten()
    row_distance = rows[:, None] - rows[None, :] + bucket_size - 1
    column_distance = columns[:, None] - columns[None, :] + bucket_size - 1
    return row_distance * (2 * bucket_size - 1) + column_distance


def head_products(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """Return [H, Q, K], the per-head products of `queries` [Q, C] and `keys` [K, C]."""
    split_queries = queries.view(queries.shape[0], heads, -1).transpose(0, 1)
    split_keys = keys.view(keys.shape[0], heads, -1).transpose(0, 1)
    return split_queries @ split_keys.transpose(1, 2)
