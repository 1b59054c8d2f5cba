"""Encoder streams in flight, by slot: the state, after the exit the memory, and what the decoder needs of it.

A stream is an image's tokens, a prompt's, or of a joint checkpoint both. It belongs to nobody: rows refer to it, one
image serves all rows about it, one prompt all rows that ask it. Cross-attention keys and values of a decoder layer are
projected, and room for them is taken, when a token first reaches the layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mue_model import costs
from mue_model.engine.attention import TOKENS_MULTIPLE, Segment, to_device
from mue_model.engine.slots import Slots, grown, grown_array
from mue_model.exits import Stage
from mue_model.layers import KeysValues
from mue_model.model import MueModel

FIRST_SLOTS = 16


@dataclass(frozen=True)
class Shape:
    """What streams of one lane have in common."""

    grid: tuple[int, int] | None
    """Of the image; None for a prompt."""
    text_tokens: int
    """Of the prompt; 0 for an image."""

    @property
    def tokens(self) -> int:
        """All tokens of the stream."""
        return (self.grid[0] * self.grid[1] if self.grid else 0) + self.text_tokens


@dataclass(frozen=True)
class Lane:
    """Constants of one shape."""

    number: int
    shape: Shape
    biases: list[Tensor]
    """Per encoder layer [H, T, T]."""


class _CrossLayer:
    """Cross-attention keys and values of one decoder layer."""

    def __init__(self, width: int, heads: int, like: Tensor) -> None:
        self.slots = Slots()
        self.keys, self.values = like.new_zeros(0, width, 0), like.new_zeros(0, heads, 0, width // heads)
        self.places = np.full(0, -1)
        """int64 by stream: where its keys and values are; -1 where they are not."""

    def fit(self, streams: int, tokens: int) -> None:
        """Have room for so many streams and tokens."""
        if streams > len(self.places):
            self.places = grown_array(self.places, (streams,), fill=-1)
        if tokens > self.keys.shape[2]:
            self._grow(len(self.keys), tokens)

    def take(self) -> int:
        place = self.slots.take()
        if place is None:
            self._grow(max(FIRST_SLOTS, 2 * len(self.keys)), self.keys.shape[2])
            place = self.slots.take()
        assert place is not None
        return place

    def _grow(self, places: int, tokens: int) -> None:
        _, heads, _, width = self.values.shape
        self.keys = grown(self.keys, (places, heads * width, tokens))
        self.values = grown(self.values, (places, heads, tokens, width))
        self.slots.extend(places)


class StreamStore:
    """All streams of one kind."""

    def __init__(self, model: MueModel, kind: Stage, max_steps: int) -> None:
        config = model.config
        self.model, self.kind = model, kind
        self.tokens = 0
        """Tokens that a slot has room for."""
        self.slots = Slots()
        self.states = model.encoder.embed_tokens.weight.new_zeros(0, 0, config.d_model)
        self.lane = np.zeros(0, dtype=np.int64)
        self.length = np.zeros(0, dtype=np.int64)
        """Tokens rounded up, as attention reads them."""
        self.layers_run = np.zeros(0, dtype=np.int64)
        self.checks = np.zeros(0, dtype=np.int64)
        self.users = np.zeros(0, dtype=np.int64)
        """Rows that still need the stream."""
        self.lanes: dict[Shape, Lane] = {}
        self.by_number: list[Lane] = []
        self.lane_tokens = np.zeros(0, dtype=np.int64)
        """Tokens of the streams of each lane."""
        self._cross = [
            _CrossLayer(config.d_model, config.decoder_attention_heads, self.states)
            for _ in range(config.decoder_layers)
        ]
        self._max_steps = max_steps
        self._bias = self.states.new_zeros(0, config.decoder_attention_heads, max_steps, 0)

    def open_lane(self, shape: Shape) -> tuple[Lane, int]:
        """Return the constants of `shape` and the FLOPs spent to have them: 0 where they were at hand."""
        if shape in self.lanes:
            return self.lanes[shape], 0
        encoder, decoder, config = self.model.encoder, self.model.decoder, self.model.config
        text = encoder.text_positions(0, shape.text_tokens)
        positions = torch.cat([encoder.image_positions(shape.grid), text]) if shape.grid else text
        absolute = encoder.absolute_bias(positions)
        biases = [
            encoder.add_relative_bias(absolute, layer, shape.grid, shape.text_tokens)
            for layer in range(config.encoder_layers)
        ]
        lane = Lane(len(self.by_number), shape, biases)
        self.lanes[shape] = lane
        self.by_number.append(lane)
        self.lane_tokens = np.append(self.lane_tokens, shape.tokens)
        self._fit_tokens(-(-shape.tokens // TOKENS_MULTIPLE) * TOKENS_MULTIPLE)
        steps = decoder.text_positions(0, self._max_steps)
        cross = decoder.cross_bias(steps, decoder.cross_pos_k_linear(positions))
        self._bias = torch.cat([self._bias, self._bias.new_full((1, *self._bias.shape[1:]), float("-inf"))])
        self._bias[-1, :, :, : shape.tokens] = cross
        return lane, costs.stream_table_flops(config, shape.tokens, self._max_steps)

    def _fit_tokens(self, tokens: int) -> None:
        if tokens <= self.tokens:
            return
        self.tokens = tokens
        self.states = grown(self.states, (len(self.states), tokens, self.states.shape[2]))
        bias = self._bias.new_full((*self._bias.shape[:3], tokens), float("-inf"))
        bias[..., : self._bias.shape[3]] = self._bias
        self._bias = bias

    def take(self, lane: Lane) -> int:
        """Return a slot for a new stream of `lane`."""
        slot = self.slots.take()
        if slot is None:
            capacity = max(FIRST_SLOTS, 2 * self.slots.capacity)
            self.slots.extend(capacity)
            self.states = grown(self.states, (capacity, *self.states.shape[1:]))
            for name in ("lane", "length", "layers_run", "checks", "users"):
                setattr(self, name, grown_array(getattr(self, name), (capacity,)))
            slot = self.slots.take()
        assert slot is not None
        self.lane[slot] = lane.number
        self.length[slot] = -(-lane.shape.tokens // TOKENS_MULTIPLE) * TOKENS_MULTIPLE
        self.layers_run[slot] = self.checks[slot] = self.users[slot] = 0
        return slot

    def release(self, slot: int) -> None:
        """Forget a stream."""
        for cross in self._cross:
            if slot < len(cross.places) and cross.places[slot] >= 0:
                cross.slots.give_back(int(cross.places[slot]))
                cross.places[slot] = -1
        self.slots.give_back(slot)

    def read(self, slots: np.ndarray, tokens: int) -> Tensor:
        """Return the states [G, T, C] of streams of one length."""
        return self.states.index_select(0, to_device(slots, self.states))[:, :tokens]

    def write(self, slots: np.ndarray, states: Tensor) -> None:
        """Keep the states [G, T, C] of streams."""
        index = to_device(slots, self.states)
        if states.shape[1] == self.tokens:
            self.states.index_copy_(0, index, states)
        else:
            self.states[index, : states.shape[1]] = states

    def lacking(self, layer: int, slots: np.ndarray) -> np.ndarray:
        """Return bool [G]: whose keys and values of decoder layer `layer` are not there."""
        self._cross[layer].fit(self.slots.capacity, self.tokens)
        return self._cross[layer].places[slots] < 0

    def project(self, layer: int, slots: np.ndarray) -> None:
        """Project the memory of streams, none twice, to keys and values of decoder layer `layer`."""
        cross, attention = self._cross[layer], self.model.decoder_layer(layer).cross_attn
        heads = attention.heads
        for number in np.unique(self.lane[slots]).tolist():
            mine = slots[self.lane[slots] == number]
            tokens = self.by_number[number].shape.tokens
            memory = self.read(mine, tokens)
            keys, values = attention.k_proj(memory), attention.v_proj(memory)
            places = np.array([cross.take() for _ in range(len(mine))])
            keys, values = keys.transpose(1, 2), values.unflatten(2, (heads, -1)).transpose(1, 2)
            if rest := self.tokens - tokens:  # another stream's rest is covered by -inf, unless it was not finite
                keys, values = functional.pad(keys, (0, rest)), functional.pad(values, (0, 0, 0, rest))
            index = to_device(places, memory)
            cross.keys.index_copy_(0, index, keys)
            cross.values.index_copy_(0, index, values)
            cross.places[mine] = places

    def bring(self, layer: int, slots: np.ndarray) -> np.ndarray:
        """Have the streams projected for decoder layer `layer`; return int64 [G], the tokens that cost a row nothing.

        They do if they were at hand, or if an earlier row of the group brings the same stream.
        """
        own, first = np.unique(slots, return_index=True)
        lacking = self.lacking(layer, own)
        if lacking.any():
            self.project(layer, own[lacking])
        shared: np.ndarray = self.lane_tokens[self.lane[slots]]
        shared[first[lacking]] = 0
        return shared

    def keys_values(self, layer: int, slots: np.ndarray, tokens: int) -> KeysValues:
        """Return copies of what streams of one length were projected to, each [G, H, T, D]."""
        cross = self._cross[layer]
        places = to_device(cross.places[slots], self.states)
        keys = cross.keys.index_select(0, places)[:, :, :tokens]
        values = cross.values.index_select(0, places)[:, :, :tokens]
        return keys.unflatten(1, (values.shape[1], -1)).transpose(2, 3), values

    def segment(self, layer: int, slots: np.ndarray) -> Segment:
        """Return the streams as attention of decoder layer `layer` reads them; all are projected."""
        cross = self._cross[layer]
        return Segment(cross.keys, cross.values, self._bias, cross.places[slots], self.lane[slots], self.length[slots])

    @property
    def bytes(self) -> int:
        """Bytes that the stores hold."""
        tensors = [self.states, self._bias, *(each for cross in self._cross for each in (cross.keys, cross.values))]
        return sum(tensor.element_size() * tensor.numel() for tensor in tensors)
