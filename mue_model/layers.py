"""Attention and the two Transformer layers of OFA: pre-LayerNorm with the NormFormer extras.

Every layer is callable on its own: the engine runs one layer for one group of rows. Attention takes its
position bias and mask as one additive tensor. Source: arXiv 2202.03052, NormFormer arXiv 2110.09456.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

KeysValues = tuple[Tensor, Tensor]
"""Keys and values, each [G, H, T, D]."""


Attend = Callable[[Tensor, Tensor], Tensor]
"""Lets scaled queries [G, H, Q, D] attend to keys and values that it knows; returns [G, H, Q, D].

Is also told the input [G, Q, C] that the queries were projected from, which a layer's own keys and values are made of.
"""

AttentionKernel = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""What computes softmax attention: `attend` or `attend_fused`."""


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Softmax attention by explicit products, so that a FLOP counter sees it.

    `queries` [G, H, Q, D], already scaled; `keys`, `values` [G, H, K, D]; `bias` broadcasts to [G, H, Q, K].
    Returns [G, H, Q, D].
    """
    return torch.softmax(queries @ keys.transpose(-1, -2) + bias, dim=-1) @ values


def attend_fused(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Return what `attend` returns, through torch's fused kernel."""
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)


def find_at_once(module: nn.Module) -> None:
    """Put submodules where Python looks first: torch finds them by a call, dozens of times in every decoder layer."""
    for name, child in module.named_children():
        module.__dict__[name] = child


class Attention(nn.Module):
    """Multi-head attention with a gain per head before the output projection."""

    def __init__(self, width: int, heads: int, scale_factor: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads * scale_factor) ** -0.5
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.c_attn = nn.Parameter(torch.ones(heads))
        self.kernel: AttentionKernel = attend
        find_at_once(self)

    def _split(self, x: Tensor) -> Tensor:
        """[G, T, C] -> [G, H, T, D]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def keys_values(self, x: Tensor) -> KeysValues:
        """Project `x` [G, T, C] to keys and values, each [G, H, T, D]."""
        return self._split(self.k_proj(x)), self._split(self.v_proj(x))

    def over(self, keys_values: KeysValues, bias: Tensor) -> Attend:
        """Return what attends to keys and values [G, H, K, D]; `bias` broadcasts to [G, H, Q, K]."""
        keys, values = keys_values
        return lambda queries, _: self.kernel(queries, keys, values, bias)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """Let `x` [G, Q, C] attend; returns [G, Q, C]."""
        heads = attend(self._split(self.q_proj(x)) * self.scale, x)
        gained = heads.transpose(1, 2) * self.c_attn[:, None]
        return self.out_proj(gained.flatten(2))


class FeedForward(nn.Module):
    """Base of both layers: fc1, GELU, LayerNorm over the inner width, fc2; names as published."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.ffn_layer_norm = nn.LayerNorm(inner)
        self.final_layer_norm = nn.LayerNorm(width)

    def feed_forward(self, x: Tensor) -> Tensor:
        """[G, T, C] -> [G, T, C], the residual branch only."""
        return self.fc2(self.ffn_layer_norm(functional.gelu(self.fc1(self.final_layer_norm(x)))))


class EncoderLayer(FeedForward):
    """Self-attention and feed-forward; `forward` returns the new residual stream."""

    def __init__(self, width: int, heads: int, inner: int, scale_factor: float) -> None:
        super().__init__(width, inner)
        self.self_attn = Attention(width, heads, scale_factor)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn_mid_layer_norm = nn.LayerNorm(width)
        find_at_once(self)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`x` [G, T, C]; `bias` broadcasts to [G, H, T, T]; returns [G, T, C]."""
        normed = self.self_attn_layer_norm(x)
        attend = self.self_attn.over(self.self_attn.keys_values(normed), bias)
        x = x + self.self_attn_mid_layer_norm(self.self_attn(normed, attend))
        return x + self.feed_forward(x)


class DecoderLayer(FeedForward):
    """Self-attention, cross-attention and feed-forward over keys and values that the caller keeps."""

    def __init__(self, width: int, heads: int, inner: int, scale_factor: float) -> None:
        super().__init__(width, inner)
        self.self_attn = Attention(width, heads, scale_factor)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn_mid_layer_norm = nn.LayerNorm(width)
        self.cross_attn = Attention(width, heads, scale_factor)
        self.cross_attn_layer_norm = nn.LayerNorm(width)
        self.cross_attn_mid_layer_norm = nn.LayerNorm(width)
        find_at_once(self)

    def self_keys_values(self, x: Tensor) -> KeysValues:
        """Keys and values [G, H, T, D] of the residual stream `x` [G, T, C] that enters this layer.

        For a token that skipped this layer, `x` is its exit state (CALM's state propagation, arXiv 2207.07061).
        """
        return self.self_attn.keys_values(self.self_attn_layer_norm(x))

    def cross_keys_values(self, memory: Tensor) -> KeysValues:
        """Keys and values [G, H, M, D] of the encoder's `memory` [G, M, C]."""
        return self.cross_attn.keys_values(memory)

    def over(
        self, self_kv: KeysValues, self_bias: Tensor, cross_kv: KeysValues, cross_bias: Tensor
    ) -> tuple[Attend, Attend]:
        """Return what `forward` attends by, over keys and values as tensors; biases broadcast to [G, H, T, K]."""
        return self.self_attn.over(self_kv, self_bias), self.cross_attn.over(cross_kv, cross_bias)

    def forward(self, x: Tensor, self_attend: Attend, cross_attend: Attend) -> Tensor:
        """`x` [G, T, C], whose own keys and values are among those of `self_attend`."""
        x = x + self.self_attn_mid_layer_norm(self.self_attn(self.self_attn_layer_norm(x), self_attend))
        x = x + self.cross_attn_mid_layer_norm(self.cross_attn(self.cross_attn_layer_norm(x), cross_attend))
        return x + self.feed_forward(x)
