"""Rows in the decoder, by slot: the current tokens' states, exit states, own keys and values, what was executed.

A slot has a *line* for each beam. What a token leaves behind stays on the line that it was written on; a beam that
goes on from another one's text only notes on which line each step of that text lies.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mue_model.config import GenerationConfig, KvPolicy
from mue_model.engine.attention import OwnKeys, to_device
from mue_model.engine.slots import Slots, grown, grown_array
from mue_model.model import MueModel

FIRST_SLOTS = 16
_BY_LINE = ("state", "exits")
_BY_SLOT = ("step", "tokens", "depths", "run_through", "kv_fills", "cross_layers", "shared_kv", "origin")


class RowStore:
    """Tensors grow to the most rows that were in flight at once and never move."""

    def __init__(self, model: MueModel, generation: GenerationConfig, kv_policy: KvPolicy) -> None:
        config = model.config
        self.steps, self.beams, self.kv_policy = generation.max_tokens, generation.beams, kv_policy
        self.slots = Slots()
        like, width, steps = model.encoder.embed_tokens.weight, config.d_model, generation.max_tokens
        self.state = like.new_zeros(0, width)
        """[lines, C]: the current token of each beam, where it waits."""
        self.exits = like.new_zeros(0, steps, width)
        """[lines, S, C]: the state each token left with; with `just_in_time` run on where a later one needed it."""
        self.keys = [like.new_zeros(0, steps, width) for _ in range(config.decoder_layers)]
        self.values = [like.new_zeros(0, steps, width) for _ in range(config.decoder_layers)]
        self.bias = own_biases(model, steps)
        self.held = np.zeros((config.decoder_layers, 0), dtype=np.int64)
        """Keys that each layer holds for each row."""
        self.held_steps = np.zeros((config.decoder_layers, 0, steps), dtype=np.int64)
        """Which steps they belong to, in order (`holes`)."""
        self.origin = np.zeros((0, generation.beams, steps), dtype=np.int64)
        """The line that each step of each beam's text lies on."""
        self.step = np.zeros(0, dtype=np.int64)
        self.tokens = np.zeros((0, steps), dtype=np.int64)
        """Greedy decoding's."""
        self.depths = np.zeros((0, steps), dtype=np.int64)
        self.run_through = np.zeros((0, steps), dtype=np.int64)
        """Layers that the state in `exits` has been run through."""
        self.kv_fills = np.zeros(0, dtype=np.int64)
        self.cross_layers = np.zeros(0, dtype=np.int64)
        """Layers that some token of the row has reached."""
        self.shared_kv = np.zeros(0, dtype=np.int64)
        """(memory token, layer) pairs whose cross-attention keys and values another row had projected."""
        self._places = np.arange(steps)
        self._beams = np.arange(generation.beams)

    def take(self) -> int:
        """Return a slot for a new row."""
        slot = self.slots.take()
        if slot is None:
            self._grow(max(FIRST_SLOTS, 2 * self.slots.capacity))
            slot = self.slots.take()
        assert slot is not None
        self.held[:, slot] = 0
        for array in (self.step, self.kv_fills, self.cross_layers, self.shared_kv):
            array[slot] = 0
        self.origin[slot] = (slot * self.beams + self._beams)[:, None]
        return slot

    def _grow(self, capacity: int) -> None:
        self.slots.extend(capacity)
        lines = capacity * self.beams
        for name in _BY_LINE:
            tensor: Tensor = getattr(self, name)
            setattr(self, name, grown(tensor, (lines, *tensor.shape[1:])))
        for stores in (self.keys, self.values):
            stores[:] = [grown(store, (lines, *store.shape[1:])) for store in stores]
        for name in _BY_SLOT:
            array: np.ndarray = getattr(self, name)
            setattr(self, name, grown_array(array, (capacity, *array.shape[1:])))
        self.held = grown_array(self.held, (len(self.held), capacity))
        self.held_steps = grown_array(self.held_steps, (len(self.held_steps), capacity, self.steps))

    def lines(self, slots: np.ndarray) -> np.ndarray:
        """Return the lines of `slots` [G], beam by beam: [G x beams]."""
        return slots if self.beams == 1 else (slots[:, None] * self.beams + self._beams).ravel()

    def cells(self, slots: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Return where in `exits`, taken as [lines x S, C], the tokens lie that each beam has at `steps`."""
        return self.each_beam(steps) + self.steps * self.origin[slots, :, steps].ravel()

    def each_beam(self, of_rows: np.ndarray) -> np.ndarray:
        """Return values [G] of rows once for each of their beams."""
        return of_rows if self.beams == 1 else of_rows.repeat(self.beams)

    def own_keys(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> OwnKeys:
        """Return what tokens at `steps` see of their own rows at `layer`, each itself the last."""
        counts = steps + 1
        if self.kv_policy == "holes":
            counts, held = self.held[layer, slots], self.held_steps[layer, slots][:, None]
            where = np.take_along_axis(self.origin[slots], np.repeat(held, self.beams, 1), 2) * self.steps + held
        elif self.beams == 1:
            where = slots[:, None] * self.steps + self._places
        else:
            where = self.origin[slots] * self.steps + self._places
        return OwnKeys(
            self.keys[layer],
            self.values[layer],
            self.bias[layer],
            where.reshape(-1, self.steps),
            self.each_beam(counts),
            self.each_beam(steps),
        )

    def hold(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> None:
        """Count the current tokens among those that `layer` holds; doing it again changes nothing."""
        if self.kv_policy != "holes":
            self.held[layer, slots] = steps + 1
            return
        count = self.held[layer, slots]
        again = (count > 0) & (self.held_steps[layer, slots, np.maximum(count - 1, 0)] == steps)
        place = count - again
        self.held_steps[layer, slots, place] = steps
        self.held[layer, slots] = place + 1

    def skipped(self, layer: int, slots: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return slots and steps of all earlier tokens whose keys and values `layer` lacks (not with `holes`)."""
        held = self.held[layer, slots]
        if (held >= steps).all():
            return slots[:0], steps[:0]
        absent = (self._places >= held[:, None]) & (self._places < steps[:, None])
        rows, places = np.nonzero(absent)
        return slots[rows], places

    def fill(self, layer: int, slots: np.ndarray, steps: np.ndarray, keys: Tensor, values: Tensor) -> None:
        """Keep the keys and values [N x beams, H, 1, D] of earlier tokens that skipped `layer`, in order."""
        width = self.state.shape[1]
        cells = to_device(self.cells(slots, steps), keys)
        for store, fresh in ((self.keys[layer], keys), (self.values[layer], values)):
            store.view(-1, width).index_copy_(0, cells, fresh.reshape(len(cells), width))
        self.held[layer, slots] = steps + 1
        self.kv_fills += np.bincount(slots, minlength=len(self.kv_fills))

    def leave_layers(self, slots: np.ndarray, steps: np.ndarray, layers: int, states: Tensor) -> None:
        """Keep the states [G x beams, C] of tokens that leave after so many layers."""
        cells = to_device(self.cells(slots, steps), states)
        self.exits.view(-1, states.shape[1]).index_copy_(0, cells, states)
        self.depths[slots, steps] = self.run_through[slots, steps] = layers

    def exit_states(self, slots: np.ndarray, steps: np.ndarray) -> Tensor:
        """Return the states [G x beams, C] that tokens left with."""
        cells = to_device(self.cells(slots, steps), self.exits)
        return self.exits.view(-1, self.exits.shape[2]).index_select(0, cells)

    def next_step(self, slots: np.ndarray, states: Tensor) -> None:
        """Let the next tokens of rows begin with these states [G x beams, C]."""
        self.state.index_copy_(0, to_device(self.lines(slots), states), states)
        self.step[slots] += 1

    def reorder(self, slot: int, parents: list[int], step: int) -> None:
        """Let each beam of a row go on from the text of another one, `step` tokens long."""
        own = self.origin[slot, :, step:].copy()
        self.origin[slot] = self.origin[slot, parents]
        self.origin[slot, :, step:] = own

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
