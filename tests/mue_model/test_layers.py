"""Attention against a loop over heads and queries; layers that need no neighbour and no future."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mue_model.layers import Attention, DecoderLayer, EncoderLayer, attend, attend_fused

HEADS, WIDTH = 2, 8


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def randomise(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 3), queries=st.integers(1, 4), keys=st.integers(1, 6), per_row=st.booleans(), seed=st.integers()
)
def test_fused_attention_is_plain_attention(rows: int, queries: int, keys: int, per_row: bool, seed: int) -> None:
    torch.manual_seed(seed % 2**32)
    bias = random(rows if per_row else 1, HEADS, queries, keys)
    bias = bias.masked_fill((torch.rand_like(bias) < 0.3) & (torch.arange(keys) > 0), -math.inf)
    q, k, v = (random(rows, HEADS, tokens, 4) for tokens in (queries, keys, keys))
    torch.testing.assert_close(attend(q, k, v, bias), attend_fused(q, k, v, bias), rtol=0, atol=1e-12)


def test_attention_is_what_a_loop_computes() -> None:
    torch.manual_seed(0)
    attention = Attention(WIDTH, HEADS, scale_factor=2.0).double()
    randomise(attention)
    x, bias = random(1, 3, WIDTH), random(HEADS, 3, 3)
    q, k, v = (getattr(attention, name)(x)[0] for name in ("q_proj", "k_proj", "v_proj"))
    joined = torch.zeros(3, WIDTH, dtype=torch.float64)
    for head in range(HEADS):
        part = slice(4 * head, 4 * head + 4)
        for query in range(3):
            logits = torch.stack(
                [q[query, part] @ k[key, part] / math.sqrt(8) + bias[head, query, key] for key in range(3)]
            )
            joined[query, part] = attention.c_attn[head] * (logits.softmax(0) @ v[:, part])
    expected = joined @ attention.out_proj.weight.T + attention.out_proj.bias
    torch.testing.assert_close(attention(x, attention.over(attention.keys_values(x), bias))[0], expected)


@pytest.fixture
def encoder_layer() -> EncoderLayer:
    torch.manual_seed(1)
    layer = EncoderLayer(WIDTH, HEADS, 12, 2.0).double()
    randomise(layer)
    return layer


def test_rows_of_a_group_do_not_see_each_other(encoder_layer: EncoderLayer) -> None:
    x, bias = random(3, 4, WIDTH), random(HEADS, 4, 4)
    together = encoder_layer(x, bias)
    for row in range(3):
        torch.testing.assert_close(together[row], encoder_layer(x[row : row + 1], bias)[0])


def test_a_masked_token_has_no_influence(encoder_layer: EncoderLayer) -> None:
    x, bias = random(1, 4, WIDTH), random(HEADS, 4, 4)
    bias[:, :, 3] = -math.inf
    other = x.clone()
    other[:, 3] = random(WIDTH)
    assert torch.equal(encoder_layer(x, bias)[:, :3], encoder_layer(other, bias)[:, :3])
    assert not torch.equal(encoder_layer(x, bias)[:, 3], encoder_layer(other, bias)[:, 3])


def test_the_attention_kernel_can_be_exchanged(encoder_layer: EncoderLayer) -> None:
    x, bias = random(2, 4, WIDTH), random(1, HEADS, 4, 4)
    plain = encoder_layer(x, bias)
    encoder_layer.self_attn.kernel = attend_fused
    torch.testing.assert_close(encoder_layer(x, bias), plain)


def test_a_decoder_layer_step_by_step_is_the_causal_pass() -> None:
    torch.manual_seed(2)
    layer = DecoderLayer(WIDTH, HEADS, 12, 2.0).double()
    randomise(layer)
    x, bias, cross_bias = random(2, 5, WIDTH), random(HEADS, 5, 5), random(HEADS, 5, 3)
    cross = layer.cross_keys_values(random(2, 3, WIDTH))
    causal = bias + torch.full((5, 5), -math.inf, dtype=torch.float64).triu(1)
    whole = layer(x, *layer.over(layer.self_keys_values(x), causal, cross, cross_bias))
    for step in range(5):
        seen = layer.self_keys_values(x[:, : step + 1])
        over = layer.over(seen, bias[:, step : step + 1, : step + 1], cross, cross_bias[:, step : step + 1])
        state = layer(x[:, step : step + 1], *over)
        torch.testing.assert_close(state[:, 0], whole[:, step])
