"""Indexed attention for CUDA, compiled by Triton: keys and values are read where they lie.

One program for each row and head walks over the row's tokens block by block, with a running softmax. Sums are kept in
single precision, in double precision for double-precision stores.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton compiles kernels from their source, and knows no annotations but its own.

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from mue_model.engine.attention import OwnKeys, Segment, keep_fresh, to_device
from mue_model.layers import KeysValues

_TOKENS = 64
"""Tokens of one block."""


@triton.jit
def _softmax_step(scores, values, top, total, sums):
    """Take one block of scores [T] and values [T, D] into the running maximum, denominator and sums [D]."""
    highest = tl.maximum(top, tl.max(scores, 0))
    weights = tl.exp(scores - highest)
    shrink = tl.exp(top - highest)
    return highest, total * shrink + tl.sum(weights, 0), sums * shrink + tl.sum(weights[:, None] * values, 0)


@triton.jit
def _over_segment(
    query, row, head, step, heads,
    keys, values, bias, places, lanes, lengths, tokens, steps,
    top, total, sums,
    width: tl.constexpr, wide: tl.constexpr, block: tl.constexpr, kind: tl.constexpr,
):  # fmt: skip
    """Walk over one segment of a row's memory; the layouts are those of `Segment`."""
    dims = tl.arange(0, wide)
    place = tl.load(places + row)
    lane = tl.load(lanes + row)
    length = tl.load(lengths + row)
    here = (place * heads + head) * width * tokens
    biases = bias + ((lane * heads + head) * steps + step) * tokens
    for first in range(0, length, block):
        at = first + tl.arange(0, block)
        there = at < length
        inside = (dims[:, None] < width) & there[None, :]
        key = tl.load(keys + here + dims[:, None] * tokens + at[None, :], mask=inside, other=0.0).to(kind)
        scores = tl.sum(query[:, None] * key, 0)
        scores += tl.load(biases + at, mask=there, other=float("-inf")).to(kind)
        within = there[:, None] & (dims[None, :] < width)
        value = tl.load(values + here + at[:, None] * width + dims[None, :], mask=within, other=0.0).to(kind)
        top, total, sums = _softmax_step(scores, value, top, total, sums)
    return top, total, sums


@triton.jit
def _cross(
    queries, steps, out, heads, bias_steps,
    keys, values, bias, places, lanes, lengths, tokens,
    keys2, values2, bias2, places2, lanes2, lengths2, tokens2,
    both: tl.constexpr, width: tl.constexpr, wide: tl.constexpr, block: tl.constexpr, kind: tl.constexpr,
):  # fmt: skip
    row, head, dims = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, wide)
    mine = (row * heads + head) * width + dims
    query = tl.load(queries + mine, mask=dims < width, other=0.0).to(kind)
    step = tl.load(steps + row)
    top, total = tl.full((), float("-inf"), kind), tl.full((), 0.0, kind)
    sums = tl.zeros((wide,), kind)
    top, total, sums = _over_segment(
        query, row, head, step, heads, keys, values, bias, places, lanes, lengths, tokens, bias_steps,
        top, total, sums, width, wide, block, kind,
    )  # fmt: skip
    if both:
        top, total, sums = _over_segment(
            query, row, head, step, heads, keys2, values2, bias2, places2, lanes2, lengths2, tokens2, bias_steps,
            top, total, sums, width, wide, block, kind,
        )  # fmt: skip
    tl.store(out + mine, (sums / total).to(out.dtype.element_ty), mask=dims < width)


@triton.jit
def _own(
    queries, out, heads, keys, values, bias, bias_steps,
    where, longest, counts, steps,
    width: tl.constexpr, wide: tl.constexpr, block: tl.constexpr, kind: tl.constexpr,
):  # fmt: skip
    row, head, dims = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, wide)
    mine = (row * heads + head) * width + dims
    query = tl.load(queries + mine, mask=dims < width, other=0.0).to(kind)
    step, count = tl.load(steps + row), tl.load(counts + row)
    biases = bias + (head * bias_steps + step) * bias_steps + step + 1 - count
    top, total = tl.full((), float("-inf"), kind), tl.full((), 0.0, kind)
    sums = tl.zeros((wide,), kind)
    for first in range(0, count, block):
        at = first + tl.arange(0, block)
        there = at < count
        cells = tl.load(where + row * longest + at, mask=there, other=0)
        inside = there[:, None] & (dims[None, :] < width)
        cell = (cells * heads + head)[:, None] * width + dims[None, :]
        key = tl.load(keys + cell, mask=inside, other=0.0).to(kind)
        scores = tl.sum(query[None, :] * key, 1) + tl.load(biases + at, mask=there, other=float("-inf")).to(kind)
        value = tl.load(values + cell, mask=inside, other=0.0).to(kind)
        top, total, sums = _softmax_step(scores, value, top, total, sums)
    tl.store(out + mine, (sums / total).to(out.dtype.element_ty), mask=dims < width)


class TritonAttention:
    """`IndexedAttention` in place on CUDA, for every floating dtype."""

    def own(self, queries: Tensor, own: OwnKeys, fresh: KeysValues | None = None) -> Tensor:
        """See `IndexedAttention.own`."""
        if fresh is not None:
            keep_fresh(own, fresh)
        group, heads = queries.shape[:2]
        flat, out = queries.contiguous(), queries.new_empty(queries.shape)
        where, counts, steps = (to_device(each, queries) for each in (own.where, own.counts, own.steps))
        _own[group, heads](
            flat, out, heads, own.keys, own.values, own.bias.contiguous(), own.bias.shape[2],
            where, where.shape[1], counts, steps, **_constants(queries, 16),
        )  # fmt: skip
        return out

    def cross(self, queries: Tensor, steps: np.ndarray, segments: tuple[Segment, ...]) -> Tensor:
        """See `IndexedAttention.cross`."""
        group, heads = queries.shape[:2]
        flat, out = queries.contiguous(), queries.new_empty(queries.shape)
        parts = [_parts(segment, queries) for segment in segments]
        _cross[group, heads](
            flat, to_device(steps, queries), out, heads, segments[0].bias.shape[2], *parts[0], *parts[-1],
            both=len(segments) == 2, **_constants(queries, _TOKENS),
        )  # fmt: skip
        return out


def _constants(queries: Tensor, block: int) -> dict[str, Any]:
    """What a kernel is compiled for."""
    width = queries.shape[3]
    kind = tl.float64 if queries.dtype == torch.float64 else tl.float32
    return {"width": width, "wide": triton.next_power_of_2(width), "block": block, "kind": kind}


def _parts(segment: Segment, like: Tensor) -> tuple[Any, ...]:
    places, lanes, lengths = (to_device(each, like) for each in (segment.places, segment.lanes, segment.lengths))
    return segment.keys, segment.values, segment.bias, places, lanes, lengths, segment.keys.shape[2]
