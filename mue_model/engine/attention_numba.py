"""Indexed attention for CPUs, compiled by numba: keys and values are read where they lie.

Rows are spread over threads. Products run along the tokens of a slot, whose number is a multiple of 16, and
four at a time, so that partial sums stay in registers; in single precision the exponential is a polynomial, which
vector units evaluate for many tokens at once. NaN and infinity come through, so that spoilt rows are noticed.

The slots of a group lie anywhere, and what hardware fetches ahead ends at a page's end. So while one head's block of
keys or values is read, the cache is asked for the one that is read next, line by line.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba import njit, prange, types
from numba.extending import overload
from torch import Tensor

from mue_model.engine.attention import OwnKeys, Segment
from mue_model.engine.prefetch import prefetch
from mue_model.layers import KeysValues

_FAST = {"reassoc", "contract", "arcp", "nsz"}
"""Fast arithmetic that still knows NaN and infinity."""


def _exponentials(scores: Any, top: Any, powers: Any) -> Any:
    """Replace scores, all at most `top`, by exp(score - top); `powers` is room for as many integers."""
    scores[:] = np.exp(scores - top)


@overload(_exponentials, jit_options={"fastmath": _FAST})
def _compiled_exponentials(scores: Any, top: Any, powers: Any) -> Any:
    if scores.dtype == types.float32:
        return _exponentials_by_polynomial
    return _exponentials_by_library


def _exponentials_by_library(scores: Any, top: Any, powers: Any) -> Any:
    for place in range(len(scores)):
        scores[place] = np.exp(scores[place] - top)


def _exponentials_by_polynomial(scores: Any, top: Any, powers: Any) -> Any:
    """Taylor's polynomial around the nearest power of two: within 2e-7, relative, of the true value."""
    count = len(scores)
    for place in range(count):
        x = (scores[place] - top) * np.float32(1.4426950408889634)
        far = x < np.float32(-100.0)  # 0 then: a weight near the smallest number makes all that it touches slow
        if far:
            x = np.float32(0.0)
        whole = np.floor(x + np.float32(0.5))
        rest = (x - whole) * np.float32(0.6931471805599453)
        value = np.float32(1 / 5040)
        value = value * rest + np.float32(1 / 720)
        value = value * rest + np.float32(1 / 120)
        value = value * rest + np.float32(1 / 24)
        value = value * rest + np.float32(1 / 6)
        value = value * rest + np.float32(0.5)
        value = value * rest + np.float32(1.0)
        value = value * rest + np.float32(1.0)
        powers[place] = np.int32(0) if far else (np.int32(whole) + np.int32(127)) << np.int32(23)
        scores[place] = value
    factors = powers.view(np.float32)
    for place in range(count):
        scores[place] *= factors[place]


@njit(fastmath=_FAST)
def _add_scores(scores: Any, query: Any, keys: Any, bias: Any, flat: Any, ahead: int) -> None:
    """scores[m] = bias[m] + query . keys[:, m]; asks for as many numbers from flat[ahead] on as it reads."""
    tokens, width = len(scores), len(query)
    for m in range(tokens):
        scores[m] = bias[m]
    even = width - width % 4
    for d in range(0, even, 4):
        q0, q1, q2, q3 = query[d], query[d + 1], query[d + 2], query[d + 3]
        k0, k1, k2, k3 = keys[d], keys[d + 1], keys[d + 2], keys[d + 3]
        for m in range(tokens):
            scores[m] += q0 * k0[m] + q1 * k1[m] + q2 * k2[m] + q3 * k3[m]
        prefetch(flat, ahead + d * tokens, 4 * tokens)
    for d in range(even, width):
        q0, k0 = query[d], keys[d]
        for m in range(tokens):
            scores[m] += q0 * k0[m]


@njit(fastmath=_FAST)
def _add_values(out: Any, weights: Any, values: Any, flat: Any, ahead: int) -> None:
    """Add to `out` the weighted values[m]; their number is a multiple of 4. Asks ahead as `_add_scores` does."""
    width = len(out)
    for m in range(0, len(weights), 4):
        p0, p1, p2, p3 = weights[m], weights[m + 1], weights[m + 2], weights[m + 3]
        v0, v1, v2, v3 = values[m], values[m + 1], values[m + 2], values[m + 3]
        for d in range(width):
            out[d] += p0 * v0[d] + p1 * v1[d] + p2 * v2[d] + p3 * v3[d]
        prefetch(flat, ahead + m * width, 4 * width)


@njit(fastmath=_FAST)
def _to_weights(scores: Any, powers: Any) -> None:
    """Softmax, in place."""
    count = len(scores)
    top = scores[0]
    for m in range(count):
        if scores[m] > top:
            top = scores[m]
    _exponentials(scores, top, powers[:count])
    total = scores.dtype.type(0)
    for m in range(count):
        total += scores[m]
    share = scores.dtype.type(1) / total
    for m in range(count):
        scores[m] *= share


_compiled: Any = njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)


@_compiled
def _cross(
    queries: Any, steps: Any,
    keys: Any, values: Any, bias: Any, places: Any, lanes: Any, lengths: Any,
    keys2: Any, values2: Any, bias2: Any, places2: Any, lanes2: Any, lengths2: Any,
    out: Any,
) -> None:  # fmt: skip
    """Attend to one memory in two segments, of which the second may have no tokens."""
    group, heads, width = queries.shape
    flat_keys, flat_values, block = keys.reshape(-1), values.reshape(-1), width * keys.shape[2]
    flat_keys2, flat_values2, block2 = keys2.reshape(-1), values2.reshape(-1), width * keys2.shape[2]
    for g in prange(group):
        tokens, place, tokens2, place2, step = lengths[g], places[g], lengths2[g], places2[g], steps[g]
        first, first2, block2_read = place * heads * block, place2 * heads * block2, block2 if tokens2 else 0
        following = places[min(g + 1, group - 1)] * heads * block
        scores = np.empty((heads, tokens + tokens2), queries.dtype)
        powers = np.empty(tokens + tokens2, np.int32)
        for h in range(heads):  # all keys, then all values: memory is read from one end to the other
            part = slice(h * width, (h + 1) * width)
            prefetch(flat_keys2, first2 + h * block2, block2_read)
            flat, ahead = (flat_keys, first + (h + 1) * block) if h + 1 < heads else (flat_values, first)
            _add_scores(scores[h, :tokens], queries[g, h], keys[place, part], bias[lanes[g], h, step], flat, ahead)
        for h in range(heads):
            part, biases = slice(h * width, (h + 1) * width), bias2[lanes2[g], h, step]
            _add_scores(scores[h, tokens:], queries[g, h], keys2[place2, part], biases, flat_values, first)
        for h in range(heads):
            _to_weights(scores[h], powers)
            out[g, h] = 0
            prefetch(flat_values2, first2 + h * block2, block2_read)
            flat, ahead = (flat_values, first + (h + 1) * block) if h + 1 < heads else (flat_keys, following)
            _add_values(out[g, h], scores[h, :tokens], values[place, h], flat, ahead)
        for h in range(heads):
            _add_values(out[g, h], scores[h, tokens:], values2[place2, h], flat_keys, following)


@_compiled
def _own(
    queries: Any, new_keys: Any, new_values: Any,
    keys: Any, values: Any, bias: Any, where: Any, counts: Any, steps: Any,
    out: Any,
) -> None:  # fmt: skip
    group, heads, width = queries.shape
    flat_keys, flat_values, line = keys.reshape(-1), values.reshape(-1), heads * width
    for g in prange(group):
        count, step = counts[g], steps[g]
        following = counts[g + 1] if g + 1 < group else 0
        for m in range(count):
            prefetch(flat_values, where[g, m] * line, line)
        if len(new_keys):
            keys[where[g, count - 1]] = new_keys[g]
            values[where[g, count - 1]] = new_values[g]
        scores, powers = np.empty(count, queries.dtype), np.empty(count, np.int32)
        for h in range(heads):
            query, biases, first = queries[g, h], bias[h, step], h * width
            for m in range(count):
                key = keys[where[g, m], first : first + width]
                score = biases[step + 1 - count + m]
                for d in range(width):
                    score += query[d] * key[d]
                scores[m] = score
            for m in range(h, following, heads):
                prefetch(flat_keys, where[g + 1, m] * line, line)
            _to_weights(scores, powers)
            result = out[g, h]
            result[:] = 0
            for m in range(count):
                weight, value = scores[m], values[where[g, m], first : first + width]
                for d in range(width):
                    result[d] += weight * value[d]


@_compiled
def _warm_up(values: Any) -> None:
    for place in prange(len(values)):
        values[place] = place


class NumbaAttention:
    """`IndexedAttention` in place, for float32 and float64 on a CPU."""

    def __init__(self, threads: int) -> None:
        """Run on so many threads, as torch does beside it."""
        numba.set_num_threads(1)
        _warm_up(np.zeros(2))
        torch.set_num_threads(threads)  # both have one OpenMP, and numba's first kernel claims all cores for both
        self._threads = min(threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]

    def own(self, queries: Tensor, own: OwnKeys, fresh: KeysValues | None = None) -> Tensor:
        """See `IndexedAttention.own`."""
        numba.set_num_threads(self._threads)  # it holds for the calling thread only
        flat, out = _arrays(queries)
        new = [each.transpose(1, 2).reshape(len(flat), -1).numpy() for each in fresh or ()]
        stores = (store.flatten(0, 1).numpy() for store in (own.keys, own.values))
        _own(flat, *(new or [flat[:0, 0]] * 2), *stores, own.bias.numpy(), own.where, own.counts, own.steps, out)
        return torch.from_numpy(out).view(queries.shape)

    def cross(self, queries: Tensor, steps: np.ndarray, segments: tuple[Segment, ...]) -> Tensor:
        """See `IndexedAttention.cross`."""
        numba.set_num_threads(self._threads)
        flat, out = _arrays(queries)
        first, second = _parts(segments[0]), _parts(segments[-1])
        if len(segments) == 1:
            second = (*second[:-1], np.zeros_like(second[-1]))
        _cross(flat, steps, *first, *second, out)
        return torch.from_numpy(out).view(queries.shape)


def _arrays(queries: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return queries [G, H, 1, D] as [G, H, D], and room for the result."""
    flat = queries[:, :, 0].contiguous().numpy()
    return flat, np.empty_like(flat)


def _parts(segment: Segment) -> tuple[np.ndarray, ...]:
    stores = (segment.keys.numpy(), segment.values.numpy(), segment.bias.numpy())
    return (*stores, segment.places, segment.lanes, segment.lengths)
