"""Rows in the decoder, by slot: the current token's state, exit states, own keys and values, and what was executed."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mue_model.config import GenerationConfig, KvPolicy
from mue_model.engine.attention import OwnKeys, to_device
from mue_model.engine.slots import Slots, grown, grown_array
from mue_model.model import MueModel

FIRST_SLOTS = 16


class RowStore:
    """Tensors grow to the most rows that were in flight at once and never move."""

    def __init__(self, model: MueModel, generation: GenerationConfig, kv_policy: KvPolicy) -> None:
        config = model.config
        self.model, self.steps, self.kv_policy = model, generation.max_tokens, kv_policy
        self.slots = Slots()
        like, width, steps = model.encoder.embed_tokens.weight, config.d_model, generation.max_tokens
        self.state = like.new_zeros(0, width)
        """The current token of each row, where it waits."""
        self.exits = like.new_zeros(0, steps, width)
        """The state each token left with."""
        self.keys = [like.new_zeros(0, steps, width) for _ in range(config.decoder_layers)]
        self.values = [like.new_zeros(0, steps, width) for _ in range(config.decoder_layers)]
        self.bias = own_biases(model, steps)
        self.held = np.zeros((config.decoder_layers, 0), dtype=np.int64)
        """Keys that each layer holds for each row."""
        self.held_steps = np.zeros((config.decoder_layers, 0, steps), dtype=np.int16)
        """Which steps they belong to, in order (`holes`)."""
        self.step = np.zeros(0, dtype=np.int64)
        self.tokens = np.zeros((0, steps), dtype=np.int64)
        self.depths = np.zeros((0, steps), dtype=np.int64)
        self.checks = np.zeros(0, dtype=np.int64)
        self.kv_fills = np.zeros(0, dtype=np.int64)
        self.cross_layers = np.zeros(0, dtype=np.int64)
        """Layers that some token of the row has reached."""
        self.shared_kv = np.zeros(0, dtype=np.int64)
        """(memory token, layer) pairs whose cross-attention keys and values another row had projected."""
        self.places = np.arange(steps)

    def take(self) -> int:
        """Return a slot for a new row."""
        slot = self.slots.take()
        if slot is None:
            self._grow(max(FIRST_SLOTS, 2 * self.slots.capacity))
            slot = self.slots.take()
        assert slot is not None
        self.held[:, slot] = 0
        for array in (self.step, self.checks, self.kv_fills, self.cross_layers, self.shared_kv):
            array[slot] = 0
        return slot

    def _grow(self, capacity: int) -> None:
        self.slots.extend(capacity)
        for name in ("state", "exits"):
            tensor: Tensor = getattr(self, name)
            setattr(self, name, grown(tensor, (capacity, *tensor.shape[1:])))
        for stores in (self.keys, self.values):
            stores[:] = [grown(store, (capacity, *store.shape[1:])) for store in stores]
        for name in ("step", "tokens", "depths", "checks", "kv_fills", "cross_layers", "shared_kv"):
            array: np.ndarray = getattr(self, name)
            setattr(self, name, grown_array(array, (capacity, *array.shape[1:])))
        self.held = grown_array(self.held, (len(self.held), capacity))
        self.held_steps = grown_array(self.held_steps, (len(self.held_steps), capacity, self.steps))

    def own_keys(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> OwnKeys:
        """Return what tokens at `steps` see of their own rows at `layer`, themselves included."""
        keys, values, bias = self.keys[layer], self.values[layer], self.bias[layer]
        if self.kv_policy == "holes":
            counts = self.held[layer, slots]
            where = slots[:, None] * self.steps + self.held_steps[layer, slots]
        else:
            counts = steps + 1
            where = slots[:, None] * self.steps + self.places
        return OwnKeys(keys, values, bias, where, counts, steps)

    def hold(self, layer: int, slots: np.ndarray, steps: np.ndarray, keys: Tensor, values: Tensor) -> None:
        """Keep the keys and values [G, H, 1, D] of tokens at `steps`; doing it again changes nothing."""
        width = self.state.shape[1]
        lines = to_device(slots * self.steps + steps, keys)
        self.keys[layer].view(-1, width).index_copy_(0, lines, keys.reshape(len(slots), width))
        self.values[layer].view(-1, width).index_copy_(0, lines, values.reshape(len(slots), width))
        if self.kv_policy == "holes":
            count = self.held[layer, slots]
            again = (count > 0) & (self.held_steps[layer, slots, np.maximum(count - 1, 0)] == steps)
            place = count - again
            self.held_steps[layer, slots, place] = steps
            self.held[layer, slots] = place + 1
        else:
            self.held[layer, slots] = steps + 1

    def skipped(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return slots and steps of all earlier tokens whose keys and values `layer` lacks (not with `holes`)."""
        lacking = steps - self.held[layer, slots]
        if not (lacking > 0).any():
            return slots[:0], steps[:0]
        absent = (self.places >= self.held[layer, slots][:, None]) & (self.places < steps[:, None])
        rows, places = np.nonzero(absent)
        return slots[rows], places

    @property
    def bytes(self) -> int:
        """Bytes that the stores hold."""
        tensors = [self.state, self.exits, *self.keys, *self.values]
        return sum(tensor.element_size() * tensor.numel() for tensor in tensors)


def own_biases(model: MueModel, steps: int) -> list[Tensor]:
    """Return per decoder layer the self-attention bias [H, S, S] of every step to every step."""
    decoder = model.decoder
    positions = decoder.text_positions(0, steps)
    absolute = decoder.self_absolute_bias(positions, positions)
    layers = range(model.config.decoder_layers)
    return [(absolute + decoder.token_relative_bias(layer, 0, steps)).contiguous() for layer in layers]
