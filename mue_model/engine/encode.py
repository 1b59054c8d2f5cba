"""The encoder for one batch of rows of one geometry: each row keeps the state of its own exit layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mue_model import costs
from mue_model.config import BatchPolicy, ModelConfig
from mue_model.engine.tables import Geometry, Tables
from mue_model.exits import ExitPolicy, Stage, sharing_class
from mue_model.model import MueModel
from mue_model.rows import ExitTrace, RowInput


@dataclass(frozen=True)
class StreamResult:
    """One stream of a batch, settled."""

    state: Tensor
    """[N, T, C]: each row's state at its own exit."""
    layers_run: np.ndarray
    """[N]"""
    checks: np.ndarray
    """[N] similarity checks made."""
    layers_computed: np.ndarray
    """[N] layers that were computed with the row in the batch; more than `layers_run` only under wait_all."""

    def extra_layers(self, row: int) -> int:
        """Return the layers computed with the row in the batch after it had settled."""
        return int(self.layers_computed[row] - self.layers_run[row])

    def only(self, row: int) -> StreamResult:
        """Return the stream of one row."""
        own = slice(row, row + 1)
        return StreamResult(self.state[own], self.layers_run[own], self.checks[own], self.layers_computed[own])


@dataclass(frozen=True)
class EncodedBatch:
    """What the decoder needs of rows of one geometry, and what was executed for each."""

    geometry: Geometry

    memory: Tensor
    """[N, M, C]"""
    image: StreamResult
    """The image stream, or the joint one."""
    text: StreamResult
    """The text stream; of a joint checkpoint the same object as `image`."""
    text_reused: np.ndarray
    """bool [N]: the row's text stream was not computed for it."""

    @property
    def joint(self) -> bool:
        """Whether image and prompt are one stream."""
        return self.text is self.image

    def trace(self, row: int) -> ExitTrace:
        """Return the trace of a row as far as the encoder goes."""
        return ExitTrace(
            grid=self.geometry.grid,
            prompt_tokens=self.geometry.prompt_tokens,
            image=int(self.image.layers_run[row]),
            text=int(self.text.layers_run[row]),
            decoder=(),
            checks=(int(self.image.checks[row]), 0 if self.joint else int(self.text.checks[row]), 0),
            kv_fills=0,
            cross_kv_layers=0,
        )

    def padding(self, config: ModelConfig, row: int) -> int:
        """Return the FLOPs of layers that ran with the row in the batch after it had exited (wait_all)."""
        geometry = self.geometry
        if self.joint:
            return self.image.extra_layers(row) * costs.encoder_layer_flops(config, geometry.memory)
        image = self.image.extra_layers(row) * costs.encoder_layer_flops(config, geometry.patches)
        return image + self.text.extra_layers(row) * costs.encoder_layer_flops(config, geometry.prompt_tokens)


def settle(
    model: MueModel,
    state: Tensor,
    biases: Sequence[Tensor],
    stage: Stage,
    uids: Sequence[str],
    exit_policy: ExitPolicy,
    batch_policy: BatchPolicy,
) -> StreamResult:
    """Run a stream [N, T, C] until every row has settled.

    `compact` drops a settled row from the batch at once; `wait_all` runs all rows until the last one settles;
    `mask` runs all layers for all rows.
    """
    depth, rows = len(biases), len(uids)
    settled = torch.empty_like(state)
    layers_run = np.full(rows, depth)
    checks, computed = np.zeros(rows, dtype=int), np.zeros(rows, dtype=int)
    running, waiting = np.arange(rows), np.ones(rows, dtype=bool)
    for layer in range(depth):
        before, state = state, model.encoder_layer(layer)(state, biases[layer])
        computed[running] += 1
        if layer + 1 == depth or not exit_policy.may_exit(stage, layer, 0):
            continue
        checks[running[waiting[running]]] += 1
        decided = exit_policy.decide(stage, layer, 0, [uids[int(row)] for row in running], before, state).cpu().numpy()
        leaves = decided & waiting[running]
        if not leaves.any():
            continue
        settled[_index(running[leaves], state)] = state[_index(np.flatnonzero(leaves), state)]
        layers_run[running[leaves]] = layer + 1
        waiting[running[leaves]] = False
        if not waiting.any() and batch_policy != "mask":
            return StreamResult(settled, layers_run, checks, computed)
        if batch_policy == "compact":
            state = state[_index(np.flatnonzero(~leaves), state)]
            running = running[~leaves]
    last = waiting[running]
    settled[_index(running[last], state)] = state[_index(np.flatnonzero(last), state)]
    return StreamResult(settled, layers_run, checks, computed)


_Prompt = tuple[str | None, tuple[int, ...]]
"""Who may share it, and its token ids."""


class PromptCache:
    """Text streams of prompts already seen: they depend on the prompt only (decomposed checkpoints)."""

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._streams: dict[_Prompt, StreamResult] = {}

    def get(self, prompt: _Prompt) -> StreamResult | None:
        """Return the stream of a prompt, if kept."""
        return self._streams.get(prompt)

    def put(self, prompt: _Prompt, stream: StreamResult) -> None:
        """Keep the stream of a prompt; the oldest one goes when the cache is full."""
        if len(self._streams) >= self._capacity:
            self._streams.pop(next(iter(self._streams)))
        self._streams[prompt] = stream


def encode_rows(
    model: MueModel,
    rows: Sequence[RowInput],
    geometry: Geometry,
    tables: Tables,
    prompts: PromptCache,
    exit_policy: ExitPolicy,
    batch_policy: BatchPolicy,
) -> EncodedBatch:
    """Encode rows of one geometry, each stream of each row to its own exit."""
    uids = [row.uid for row in rows]
    encoder = model.encoder
    image_state = encoder.embed_image(model.normalise(torch.from_numpy(np.stack([row.pixels for row in rows]))))
    if model.config.streams == "joint":
        text_state = encoder.embed_text(_prompt_tensor(model, rows))
        state = torch.cat([image_state, text_state], dim=1)
        joint = settle(model, state, tables.joint, "joint", uids, exit_policy, batch_policy)
        return EncodedBatch(geometry, encoder.layer_norm(joint.state), joint, joint, np.zeros(len(rows), dtype=bool))
    image = settle(model, image_state, tables.image, "image", uids, exit_policy, batch_policy)
    if any(sharing_class(exit_policy, uid) is None for uid in uids):
        text_state = encoder.embed_text(_prompt_tensor(model, rows))
        text = settle(model, text_state, tables.text, "text", uids, exit_policy, batch_policy)
        reused = np.zeros(len(rows), dtype=bool)
    else:
        text, reused = _shared_text(model, rows, tables, prompts, exit_policy, batch_policy)
    memory = encoder.layer_norm(torch.cat([image.state, text.state], dim=1))
    return EncodedBatch(geometry, memory, image, text, reused)


def _shared_text(
    model: MueModel,
    rows: Sequence[RowInput],
    tables: Tables,
    prompts: PromptCache,
    exit_policy: ExitPolicy,
    batch_policy: BatchPolicy,
) -> tuple[StreamResult, np.ndarray]:
    """Encode each distinct prompt once, new ones together; returns the rows' text streams and which reused one."""
    asked = [(sharing_class(exit_policy, row.uid), row.prompt_ids) for row in rows]
    known = {prompt: prompts.get(prompt) for prompt in asked}
    first = {prompt: number for number, prompt in reversed(list(enumerate(asked))) if not known[prompt]}
    askers = sorted(first.values())
    if askers:
        asking = [rows[number] for number in askers]
        state = model.encoder.embed_text(_prompt_tensor(model, asking))
        fresh = settle(model, state, tables.text, "text", [row.uid for row in asking], exit_policy, batch_policy)
        for place, number in enumerate(askers):
            known[asked[number]] = fresh.only(place)
            prompts.put(asked[number], fresh.only(place))
    streams = [stream for prompt in asked if (stream := known[prompt])]
    layers_run = np.concatenate([stream.layers_run for stream in streams])
    reused = np.ones(len(rows), dtype=bool)
    reused[askers] = False
    computed = np.where(reused, layers_run, np.concatenate([stream.layers_computed for stream in streams]))
    state = torch.cat([stream.state for stream in streams])
    return StreamResult(state, layers_run, np.concatenate([stream.checks for stream in streams]), computed), reused


def _prompt_tensor(model: MueModel, rows: Sequence[RowInput]) -> Tensor:
    return torch.tensor([row.prompt_ids for row in rows], device=model.device)


def _index(positions: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(positions).to(like.device)
