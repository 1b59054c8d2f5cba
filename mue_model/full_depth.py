"""Whole padded batches at full depth, every layer's state returned: plain OFA, and MuE as it is trained.

Joint checkpoints attend over [image; text]; decomposed ones only inside each stream, which equals joint
attention under a block-diagonal mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mue_model.grid import grid_of
from mue_model.model import MueModel


@dataclass(frozen=True)
class EncodedBatch:
    """States of every layer, and what the decoder needs."""

    states: list[Tensor]
    """L + 1 tensors [N, M, C]: the embeddings, then the residual stream after each layer."""
    memory: Tensor
    """[N, M, C] after the final LayerNorm."""
    positions: Tensor
    """Normalised position embeddings [M, C]."""
    padding: Tensor
    """bool [N, M], true at padding."""


def encode_batch(model: MueModel, images: Tensor | None, ids: Tensor) -> EncodedBatch:
    """Encode images [N, 3, H, W], or none, with right-padded prompts [N, T]."""
    encoder = model.encoder
    state, padding = encoder.embed_text(ids), ids == model.config.pad_token_id
    positions = encoder.text_positions(0, ids.shape[1])
    grid, patches = None, 0
    if images is not None:
        grid = grid_of(*images.shape[-2:])
        patches = grid[0] * grid[1]
        state = torch.cat([encoder.embed_image(images), state], dim=1)
        positions = torch.cat([encoder.image_positions(grid), positions])
        padding = torch.cat([padding.new_zeros(len(ids), patches), padding], dim=1)
    state = state * ~padding[:, :, None]
    absolute = encoder.absolute_bias(positions)
    if model.config.streams == "decomposed":
        absolute = absolute + _across_streams(patches, state.shape[1], state)
    mask = _mask(padding, state)
    states = [state]
    for layer in range(model.config.encoder_layers):
        bias = encoder.add_relative_bias(absolute, layer, grid, ids.shape[1])
        states.append(model.encoder_layer(layer)(states[-1], bias + mask))
    return EncodedBatch(states, encoder.layer_norm(states[-1]), positions, padding)


def decode_batch(model: MueModel, encoded: EncodedBatch, target_ids: Tensor) -> list[Tensor]:
    """Return L states [N, T, C], one after each decoder layer, for teacher-forced `target_ids` [N, T]."""
    decoder, length = model.decoder, target_ids.shape[1]
    positions = decoder.text_positions(0, length)
    self_bias = decoder.self_absolute_bias(positions, positions)
    self_bias = self_bias + torch.full_like(self_bias[0], float("-inf")).triu(1)
    cross_bias = decoder.cross_bias(positions, decoder.cross_pos_k_linear(encoded.positions))
    cross_bias = cross_bias + _mask(encoded.padding, encoded.memory)
    state, states = model.embed_target(target_ids), []
    for layer in range(model.config.decoder_layers):
        module = model.decoder_layer(layer)
        bias = self_bias + decoder.token_relative_bias(layer, 0, length)
        cross = module.cross_keys_values(encoded.memory)
        state = module(state, module.self_keys_values(state), bias, cross, cross_bias)
        states.append(state)
    return states


def _mask(padding: Tensor, like: Tensor) -> Tensor:
    """Additive mask [N, 1, 1, M]: -inf at padding."""
    zeros = torch.zeros(padding.shape, dtype=like.dtype, device=like.device)
    return zeros.masked_fill(padding, float("-inf"))[:, None, None]


def _across_streams(patches: int, length: int, like: Tensor) -> Tensor:
    """Additive mask [M, M]: -inf between image patches and text tokens."""
    is_text = torch.arange(length, device=like.device) >= patches
    across = is_text[:, None] != is_text[None, :]
    return torch.zeros(across.shape, dtype=like.dtype, device=like.device).masked_fill(across, float("-inf"))
