"""Indexed attention, gathered and in place, against softmax over what the indices name."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mue_model.engine.attention import GatheredAttention, IndexedAttention, OwnKeys, Segment
from mue_model.engine.attention_numba import NumbaAttention

try:
    from mue_model.engine.attention_triton import TritonAttention
except ImportError:
    TritonAttention = None  # type: ignore[assignment, misc]

GROUP, HEADS, WIDTH, LINES, STEPS = 7, 3, 6, 11, 9
every_backend = pytest.mark.parametrize("attention", ["gathered", "numba", "triton"], indirect=True)
every_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])


@pytest.fixture
def attention(request: pytest.FixtureRequest) -> IndexedAttention:
    if request.param == "triton":
        if TritonAttention is None or "TRITON_INTERPRET" not in os.environ:
            pytest.skip("needs Triton, interpreted; with a GPU test_cuda.py is what counts")
        return TritonAttention()
    return GatheredAttention() if request.param == "gathered" else NumbaAttention(1)


@pytest.fixture
def random() -> np.random.Generator:
    torch.manual_seed(3)
    return np.random.default_rng(3)


def own_keys(random: np.random.Generator, dtype: torch.dtype) -> OwnKeys:
    """Keys on any lines, in any order, as beams and holes leave them."""
    steps = random.integers(0, STEPS, GROUP)
    counts = random.integers(1, steps + 2)
    where = np.stack([random.permutation(LINES * STEPS)[:STEPS] for _ in range(GROUP)])
    stores = [torch.randn(LINES, STEPS, HEADS * WIDTH, dtype=dtype) for _ in range(2)]
    return OwnKeys(stores[0], stores[1], torch.randn(HEADS, STEPS, STEPS, dtype=dtype), where, counts, steps)


def segment(random: np.random.Generator, dtype: torch.dtype, tokens: int, room: int, lanes: int) -> Segment:
    lengths = random.integers(1, tokens + 1, lanes)
    bias = torch.full((lanes, HEADS, STEPS, room), float("-inf"), dtype=dtype)
    for lane, length in enumerate(lengths):
        bias[lane, :, :, :length] = torch.randn(HEADS, STEPS, length, dtype=dtype)
    own = random.integers(0, lanes, GROUP)
    return Segment(
        torch.randn(LINES, HEADS * WIDTH, room, dtype=dtype),
        torch.randn(LINES, HEADS, room, WIDTH, dtype=dtype),
        bias,
        random.permutation(LINES)[:GROUP],
        own,
        -(-lengths[own] // 16) * 16,
    )


def expected_of_own(queries: Tensor, own: OwnKeys) -> Tensor:
    rows = []
    for row in range(GROUP):
        count, step = int(own.counts[row]), int(own.steps[row])
        cells = torch.from_numpy(own.where[row, :count])
        keys, values = (store.flatten(0, 1)[cells].view(count, HEADS, WIDTH) for store in (own.keys, own.values))
        bias = own.bias[:, step, step + 1 - count : step + 1]
        weights = (torch.einsum("hd,khd->hk", queries[row, :, 0], keys) + bias).softmax(-1)
        rows.append(torch.einsum("hk,khd->hd", weights, values))
    return torch.stack(rows)[:, :, None]


@every_backend
@every_dtype
def test_own_tokens(
    random: np.random.Generator, attention: IndexedAttention, dtype: torch.dtype, tolerance: float
) -> None:
    own, queries = own_keys(random, dtype), torch.randn(GROUP, HEADS, 1, WIDTH, dtype=dtype)
    torch.testing.assert_close(attention.own(queries, own), expected_of_own(queries, own), rtol=0, atol=tolerance)


@every_backend
def test_the_current_token_is_kept_before_it_is_seen(random: np.random.Generator, attention: IndexedAttention) -> None:
    own = own_keys(random, torch.float64)
    own = replace(own, where=np.arange(GROUP)[:, None] * STEPS + np.arange(STEPS))
    queries, keys, values = torch.randn(3, GROUP, HEADS, 1, WIDTH, dtype=torch.float64)
    before, seen = own.keys.clone(), attention.own(queries, own, (keys, values))
    torch.testing.assert_close(seen, expected_of_own(queries, own), rtol=0, atol=1e-12)
    for row, count in enumerate(own.counts):
        assert torch.equal(own.keys[row, count - 1], keys[row].flatten())
        assert torch.equal(own.values[row, count - 1], values[row].flatten())
        before[row, count - 1] = own.keys[row, count - 1]
    assert torch.equal(own.keys, before), "another token's keys have changed"


@every_backend
@every_dtype
@pytest.mark.parametrize("parts", [1, 2])
def test_memory_in_segments(
    random: np.random.Generator, attention: IndexedAttention, dtype: torch.dtype, tolerance: float, parts: int
) -> None:
    queries, steps = torch.randn(GROUP, HEADS, 1, WIDTH, dtype=dtype), random.integers(0, STEPS, GROUP)
    segments = (segment(random, dtype, 33, 48, 2), segment(random, dtype, 14, 16, 3))[:parts]
    rows = []
    for row in range(GROUP):
        keys = torch.cat([part.keys[part.places[row]].view(HEADS, WIDTH, -1) for part in segments], dim=2)
        values = torch.cat([part.values[part.places[row]] for part in segments], dim=1)
        bias = torch.cat([part.bias[part.lanes[row], :, steps[row]] for part in segments], dim=1)
        weights = (torch.einsum("hd,hdk->hk", queries[row, :, 0], keys) + bias).softmax(-1)
        rows.append(torch.einsum("hk,hkd->hd", weights, values))
    seen = attention.cross(queries, steps, segments)
    torch.testing.assert_close(seen, torch.stack(rows)[:, :, None], rtol=0, atol=tolerance)


@every_backend
def test_scores_far_apart_and_large(random: np.random.Generator, attention: IndexedAttention) -> None:
    queries, steps = torch.randn(GROUP, HEADS, 1, WIDTH) * 60, random.integers(0, STEPS, GROUP)
    part = segment(random, torch.float32, 33, 48, 1)
    wide = replace(part, keys=part.keys.double(), values=part.values.double(), bias=part.bias.double())
    expected = GatheredAttention().cross(queries.double(), steps, (wide,)).float()
    torch.testing.assert_close(attention.cross(queries, steps, (part,)), expected, rtol=1e-4, atol=1e-4)


@every_backend
@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_what_is_not_finite_is_seen_by_its_row_alone(
    random: np.random.Generator, attention: IndexedAttention, spoilt: float
) -> None:
    queries, steps = torch.randn(GROUP, HEADS, 1, WIDTH), random.integers(0, STEPS, GROUP)
    part = segment(random, torch.float32, 16, 16, 1)
    sound = attention.cross(queries, steps, (part,))
    part.values[part.places[2], :, 0] = spoilt
    seen = attention.cross(queries, steps, (part,))
    assert not seen[2].isfinite().all()
    others = [row for row in range(GROUP) if row != 2]
    assert torch.equal(seen[others], sound[others])
