"""The decoder of one row, step by step: what the words `propagate`, `just_in_time` and `holes` mean.

Simple before fast; `reference` runs it, the engines must equal it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mue_model.config import KvPolicy
from mue_model.exits import ExitPolicy, decide_tokens
from mue_model.layers import KeysValues
from mue_model.model import MueModel


@dataclass(frozen=True)
class EncodedRow:
    """What the encoder hands to the decoder for one row."""

    memory: Tensor
    """[1, M, C], image tokens then text tokens, after the final LayerNorm."""
    positions: Tensor
    """Normalised position embeddings [M, C]."""
    grid: tuple[int, int]
    prompt_tokens: int
    image: int
    text: int
    checks: tuple[int, int]
    """Similarity checks on the image (or joint) and the text stream."""


@dataclass
class _LayerCache:
    """Keys and values of one decoder layer."""

    cross: KeysValues | None = None
    self_keys: list[Tensor] = field(default_factory=list)
    """One [B, H, 1, D] for each token that has passed the layer, or was projected for it later."""
    self_values: list[Tensor] = field(default_factory=list)

    def append(self, keys_values: KeysValues) -> None:
        self.self_keys.append(keys_values[0])
        self.self_values.append(keys_values[1])

    @property
    def length(self) -> int:
        return len(self.self_keys)

    def self_kv(self, length: int | None = None) -> KeysValues:
        return torch.cat(self.self_keys[:length], dim=2), torch.cat(self.self_values[:length], dim=2)


class RowDecoder:
    """The decoder of one row, all its beams side by side; `depths` and counters tell what was executed."""

    def __init__(
        self,
        model: MueModel,
        encoded: EncodedRow,
        policy: ExitPolicy,
        kv_policy: KvPolicy,
        uid: str = "",
        beams: int = 1,
    ) -> None:
        self.model, self.encoded, self.policy, self.kv_policy, self.uid = model, encoded, policy, kv_policy, uid
        self.beams = beams
        self.caches = [_LayerCache() for _ in range(model.config.decoder_layers)]
        self.exit_states: list[Tensor] = []
        """Of each step [B, 1, C]; with `just_in_time` run on where a later token needed it."""
        self.depths: list[int] = []
        self.checks = 0
        self.kv_fills = 0
        self._caught_up: list[int] = []
        """Layers that the state of each step has been run through."""
        self._biases: list[tuple[Tensor, Tensor]] = []
        self._position_keys: list[Tensor] = []
        self._memory_position_keys = model.decoder.cross_pos_k_linear(encoded.positions)

    def step(self, *tokens: int) -> Tensor:
        """Feed the next token of each beam; returns the logits [B, V] behind them, at this step's exit.

        All beams leave together: there is one decision for them.
        """
        model, step = self.model, len(self.depths)
        state = model.embed_target(torch.tensor(tokens, device=model.device)[:, None])
        self._biases.append(self._position_biases(step))
        depth, logits = model.config.decoder_layers, None
        for layer in range(depth):
            before, state = state, self._run_layer(layer, step, state)
            if layer + 1 < depth and self.policy.may_exit("decoder", layer, step):
                self.checks += 1
                together = before.view(1, self.beams, -1), state.view(1, self.beams, -1)
                leaves, logits = decide_tokens(self.policy, layer, [step], [self.uid], *together, model.logits)
                if bool(leaves):
                    depth = layer + 1
                    break
                logits = None
        self.depths.append(depth)
        self.exit_states.append(state)
        self._caught_up.append(depth)
        return model.logits(state)[:, 0] if logits is None else logits[0]

    def reorder(self, parents: Sequence[int]) -> None:
        """Let each beam go on from what another one has written; the first ones when all are the same."""
        index = torch.tensor(parents, device=self.model.device)
        self.exit_states = [state[index] for state in self.exit_states]
        for cache in self.caches:
            cache.self_keys = [keys[index] for keys in cache.self_keys]
            cache.self_values = [values[index] for values in cache.self_values]

    def _run_layer(self, layer: int, step: int, state: Tensor) -> Tensor:
        """One decoder layer for one token, with whatever keys and values it still lacks."""
        module, cache = self.model.decoder_layer(layer), self.caches[layer]
        if cache.cross is None:
            cross = module.cross_keys_values(self.encoded.memory)
            cache.cross = cross[0].expand(self.beams, -1, -1, -1), cross[1].expand(self.beams, -1, -1, -1)
        if self.kv_policy != "holes":
            for earlier in range(cache.length, step):
                if self.kv_policy == "just_in_time":
                    self._catch_up(layer, earlier)
                self.kv_fills += 1
                cache.append(module.self_keys_values(self.exit_states[earlier]))
        cache.append(module.self_keys_values(state))
        return self._attend(layer, step, state, cache.length)

    def _catch_up(self, layer: int, step: int) -> None:
        """Run an earlier token to where `layer` begins; keys and values of the layers before are there."""
        while self._caught_up[step] < layer:
            missing = self._caught_up[step]
            self.exit_states[step] = self._attend(missing, step, self.exit_states[step], step + 1)
            self._caught_up[step] += 1

    def _attend(self, layer: int, step: int, state: Tensor, length: int) -> Tensor:
        """Run a layer for a token that sees the first `length` cached ones, itself the last of them."""
        module, cache = self.model.decoder_layer(layer), self.caches[layer]
        self_bias, cross_bias = self._biases[step]
        bias = self_bias + self.model.decoder.token_relative_bias(layer, step, step + 1)
        assert cache.cross is not None
        # With holes, as published: the keys that remain get the biases of the most recent positions.
        over = module.over(cache.self_kv(length), bias[..., step + 1 - length :], cache.cross, cross_bias)
        after: Tensor = module(state, *over)
        return after

    def _position_biases(self, step: int) -> tuple[Tensor, Tensor]:
        """Absolute self-attention bias [H, 1, step + 1] and cross-attention bias [H, 1, M] of one step."""
        decoder = self.model.decoder
        position = decoder.text_positions(step, step + 1)
        self._position_keys.append(decoder.self_pos_k_linear(position))
        self_bias = decoder.self_position_products(position, torch.cat(self._position_keys))
        return self_bias, decoder.cross_bias(position, self._memory_position_keys)
