"""Whole padded batches at full depth, every layer's state returned: plain OFA, and MuE as it is trained.

Joint checkpoints attend over [image; text]; decomposed ones only inside each stream, which equals joint
attention under a block-diagonal mask, and so are run as two streams, each of which may be used again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """Encode images [N, 3, H, W], or none, with right-padded prompts [N, T]; decomposed: also [1, T] for all images."""
    if images is None:
        return _encode(model, *_text(model, ids), None)
    if model.config.streams == "decomposed":
        return join_streams(encode_images(model, images), encode_batch(model, None, ids))
    patches, image_positions, unpadded = _image(model, images)
    tokens, text_positions, padding = _text(model, ids)
    return _encode(
        model,
        torch.cat([patches, tokens], dim=1),
        torch.cat([image_positions, text_positions]),
        torch.cat([unpadded, padding], dim=1),
        grid_of(*images.shape[-2:]),
    )


def encode_images(model: MueModel, images: Tensor) -> EncodedBatch:
    """Encode the image stream alone, [N, 3, H, W]: what decomposed rows with the same image have in common."""
    return _encode(model, *_image(model, images), grid_of(*images.shape[-2:]))


def repeat_rows(encoded: EncodedBatch, times: int) -> EncodedBatch:
    """Return every row so many times, side by side."""
    if times == 1:
        return encoded
    return replace(
        encoded,
        states=[state.repeat_interleave(times, 0) for state in encoded.states],
        memory=encoded.memory.repeat_interleave(times, 0),
        padding=encoded.padding.repeat_interleave(times, 0),
    )


def join_streams(image: EncodedBatch, text: EncodedBatch) -> EncodedBatch:
    """Return [image; text] of two streams that were encoded apart; a text of one row stands beside every image."""
    rows = len(image.memory)

    def beside(left: Tensor, right: Tensor) -> Tensor:
        return torch.cat([left, right.expand(rows, *right.shape[1:])], dim=1)

    return EncodedBatch(
        [beside(*states) for states in zip(image.states, text.states, strict=True)],
        beside(image.memory, text.memory),
        torch.cat([image.positions, text.positions]),
        beside(image.padding, text.padding),
    )


def _text(model: MueModel, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [N, T, C], positions [T, C] and padding [N, T] of prompts."""
    return (
        model.encoder.embed_text(ids),
        model.encoder.text_positions(0, ids.shape[1]),
        ids == model.config.pad_token_id,
    )


def _image(model: MueModel, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [N, P, C], positions [P, C] and padding [N, P] of images: none of it is padding."""
    state = model.encoder.embed_image(images)
    padding = torch.zeros(state.shape[:2], dtype=torch.bool, device=state.device)
    return state, model.encoder.image_positions(grid_of(*images.shape[-2:])), padding


def _encode(
    model: MueModel, state: Tensor, positions: Tensor, padding: Tensor, grid: tuple[int, int] | None
) -> EncodedBatch:
    """Run all layers over embeddings [N, M, C] that attend to each other: image patches, then text, or one alone."""
    encoder = model.encoder
    text_tokens = len(positions) - (grid[0] * grid[1] if grid else 0)
    state = state * ~padding[:, :, None]
    absolute, mask = encoder.absolute_bias(positions), _mask(padding, state)
    states = [state]
    for layer in range(model.config.encoder_layers):
        bias = encoder.add_relative_bias(absolute, layer, grid, text_tokens)
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
        state = module(state, *module.over(module.self_keys_values(state), bias, cross, cross_bias))
        states.append(state)
    return states


def _mask(padding: Tensor, like: Tensor) -> Tensor:
    """Additive mask [N, 1, 1, M]: -inf at padding."""
    zeros = torch.zeros(padding.shape, dtype=like.dtype, device=like.device)
    return zeros.masked_fill(padding, float("-inf"))[:, None, None]
