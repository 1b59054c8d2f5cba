"""Attention of single tokens over keys and values that stay where they are: a group is a list of indices.

Stores are by slot and never move or shrink; what a token may see is said by indices, and biases of -inf cover what a
slot does not fill. `gathered` copies what the indices name and runs anywhere; `attention_numba` reads it in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mue_model.layers import KeysValues

TOKENS_MULTIPLE = 16
"""Stores hold a multiple of so many tokens a slot, so that loops over them need no remainder."""


@dataclass(frozen=True)
class OwnKeys:
    """The earlier tokens of a group's rows at one decoder layer, each row's current token last."""

    keys: Tensor
    """[lines, S, C]: one line of S steps for a row, or for each beam of it."""
    values: Tensor
    """[lines, S, C]"""
    bias: Tensor
    """[H, S, S], by the step of the query and of the key."""
    where: np.ndarray
    """int64 [G, K]: line x S + step of every key, the first `counts` of them in use."""
    counts: np.ndarray
    """int64 [G]"""
    steps: np.ndarray
    """int64 [G]: step of the query."""


@dataclass(frozen=True)
class Segment:
    """A part of the encoder's memory at one decoder layer: the streams of one kind, and which one each row sees."""

    keys: Tensor
    """[places, C, T], tokens last, so that products with a query run along them."""
    values: Tensor
    """[places, H, T, D]: what a head reads lies together."""
    bias: Tensor
    """[lanes, H, S, T], by the step of the query; -inf behind a stream's last token."""
    places: np.ndarray
    """int64 [G]"""
    lanes: np.ndarray
    """int64 [G]"""
    lengths: np.ndarray
    """int64 [G]: tokens to read, rounded up to `TOKENS_MULTIPLE`."""


class IndexedAttention(Protocol):
    """Softmax attention by index. `queries` [G, H, 1, D] are scaled; returns [G, H, 1, D]."""

    def own(self, queries: Tensor, own: OwnKeys, fresh: KeysValues | None = None) -> Tensor:
        """Attend to a row's own tokens; `fresh` are the current ones' keys and values, which are kept first."""
        ...

    def cross(self, queries: Tensor, steps: np.ndarray, segments: tuple[Segment, ...]) -> Tensor:
        """Attend to one memory of one or two segments; `steps` int64 [G] are those of the queries."""
        ...


def to_device(indices: np.ndarray, like: Tensor) -> Tensor:
    """Return host indices as a tensor beside `like`."""
    return torch.from_numpy(np.ascontiguousarray(indices)).to(like.device)


def keep_fresh(own: OwnKeys, fresh: KeysValues) -> None:
    """Write the current tokens' keys and values, each [G, H, 1, D], where they belong."""
    group = len(own.counts)
    cells = to_device(own.where[np.arange(group), own.counts - 1], own.keys)
    for store, new in zip((own.keys, own.values), fresh, strict=True):
        store.flatten(0, 1).index_copy_(0, cells, new.reshape(group, -1))


class GatheredAttention:
    """Copies the keys and values of a group, then attends by products: any device, any dtype."""

    def own(self, queries: Tensor, own: OwnKeys, fresh: KeysValues | None = None) -> Tensor:
        """See `IndexedAttention.own`."""
        group, heads, _, _ = queries.shape
        if fresh is not None:
            keep_fresh(own, fresh)
        longest = int(own.counts.max())
        where = to_device(own.where[:, :longest], queries)
        seen = [
            store.flatten(0, 1)[where].view(group, longest, heads, -1).transpose(1, 2)
            for store in (own.keys, own.values)
        ]
        rank = np.arange(longest)
        columns = np.clip(own.steps[:, None] + 1 - own.counts[:, None] + rank, 0, own.bias.shape[2] - 1)
        bias = own.bias[:, to_device(own.steps, queries)[:, None], to_device(columns, queries)].transpose(0, 1)
        absent = to_device(rank >= own.counts[:, None], queries)
        bias = bias.masked_fill(absent[:, None], float("-inf"))[:, :, None]
        return torch.softmax(queries @ seen[0].transpose(-1, -2) + bias, dim=-1) @ seen[1]

    def cross(self, queries: Tensor, steps: np.ndarray, segments: tuple[Segment, ...]) -> Tensor:
        """See `IndexedAttention.cross`."""
        group, heads, _, _ = queries.shape
        when = to_device(steps, queries)
        scores, values = [], []
        for segment in segments:
            longest = int(segment.lengths.max())
            places = to_device(segment.places, queries)
            keys = segment.keys[places, :, :longest].view(group, heads, -1, longest)
            bias = segment.bias[to_device(segment.lanes, queries), :, when, :longest]
            scores.append(queries @ keys + bias[:, :, None])
            values.append(segment.values[places, :, :longest])
        return torch.softmax(torch.cat(scores, dim=-1), dim=-1) @ torch.cat(values, dim=2)
