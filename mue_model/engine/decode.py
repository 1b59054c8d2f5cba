"""The greedy decoder for one batch of rows: all rows step together, each token stops at its own layer.

Keys and values live by row and never move. What a row skipped is projected only when a later token of that
row needs it; cross-attention keys and values only when a token first reaches a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mue_model.config import BatchPolicy, GenerationConfig, KvPolicy
from mue_model.decoding import greedy_tokens
from mue_model.engine.tables import Tables
from mue_model.exits import ExitPolicy, decide_tokens
from mue_model.model import MueModel


@dataclass
class DecodedRow:
    """What one row generated, and what was executed for it."""

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    """Layers run, one entry per step."""
    computed: list[int] = field(default_factory=list)
    """Layers computed with the row in the batch, one entry per step; more than `depths` only under wait_all."""
    checks: int = 0
    kv_fills: int = 0
    stopped: bool = False
    finite: bool = True


class _LayerStore:
    """Keys and values of one decoder layer for all rows of a batch; may serve the next batch of as many rows."""

    def __init__(self, rows: int, heads: int, head_dim: int, steps: int, memory: int, like: Tensor) -> None:
        self.self_keys = like.new_zeros(rows, heads, steps, head_dim)
        self.self_values = like.new_zeros(rows, heads, steps, head_dim)
        self.cross_keys = like.new_zeros(rows, heads, memory, head_dim)
        self.cross_values = like.new_zeros(rows, heads, memory, head_dim)
        self.has_cross = np.zeros(rows, dtype=bool)
        self.length = np.zeros(rows, dtype=int)
        """Valid self-attention positions of each row."""
        self.shape = (rows, memory)

    def reset(self) -> None:
        """Forget the rows; what lies in the tensors is finite and covered until it is written."""
        self.has_cross[:] = False
        self.length[:] = 0


Stores = dict[int, _LayerStore]
"""By decoder layer."""


class BatchDecoder:
    """Decodes one encoded batch; `decode` is the only thing to call."""

    def __init__(
        self,
        model: MueModel,
        memory: Tensor,
        tables: Tables,
        uids: Sequence[str],
        exit_policy: ExitPolicy,
        generation: GenerationConfig,
        kv_policy: KvPolicy,
        batch_policy: BatchPolicy,
        stores: Stores | None = None,
    ) -> None:
        """`stores`, of an earlier batch whose rows were all finite, save taking new memory."""
        self.model, self.memory, self.tables, self.uids = model, memory, tables, uids
        self.exit_policy, self.generation = exit_policy, generation
        self.kv_policy, self.batch_policy = kv_policy, batch_policy
        self.depth = model.config.decoder_layers
        self.rows = [DecodedRow() for _ in uids]
        self.exit_states = memory.new_zeros(len(uids), generation.max_tokens, model.config.d_model)
        self._said: dict[int, Tensor] = {}
        """Logits [V] of rows whose token left by them."""
        self._stores = stores if stores is not None else {}
        shape = (len(uids), memory.shape[1])
        for layer, store in list(self._stores.items()):
            if store.shape == shape:
                store.reset()
            else:
                del self._stores[layer]

    def decode(self) -> list[DecodedRow]:
        """Generate until every row has stopped or has its last token."""
        config = self.model.config
        active = np.arange(len(self.rows))
        for step in range(self.generation.max_tokens):
            previous = [self.rows[row].tokens[-1] if step else config.bos_token_id for row in active]
            state = self.model.embed_target(torch.tensor(previous, device=self.model.device)[:, None])
            self._run_layers(step, active, state)
            self._take_tokens(active, self._logits(step, active))
            active = np.array(
                [row for row in active if not self.rows[row].stopped and self.rows[row].finite], dtype=int
            )
            if not len(active):
                break
        return self.rows

    def _run_layers(self, step: int, active: np.ndarray, state: Tensor) -> None:
        """Take one token of each active row to its exit; leaves the exit states in `exit_states`."""
        self._said.clear()
        running, waiting = active, np.ones(len(active), dtype=bool)
        for row in active:
            self.rows[row].computed.append(0)
        for layer in range(self.depth):
            before, state = state, self._run_layer(layer, step, running, waiting, state)
            for row in running:
                self.rows[row].computed[-1] += 1
            if layer + 1 == self.depth:
                leaves = waiting
            elif self.exit_policy.may_exit("decoder", layer, step):
                leaves = self._decide(layer, step, running, waiting, before, state)
            else:
                continue
            if leaves.any():
                self._leave(layer, step, running[leaves], state[self._index(np.flatnonzero(leaves))])
                waiting = waiting & ~leaves
            if not waiting.any() and self.batch_policy != "mask":
                return
            if self.batch_policy == "compact" and leaves.any():
                state, running = state[self._index(np.flatnonzero(waiting))], running[waiting]
                waiting = np.ones(len(running), dtype=bool)

    def _decide(
        self, layer: int, step: int, running: np.ndarray, waiting: np.ndarray, before: Tensor, after: Tensor
    ) -> np.ndarray:
        """Return bool [G]: who leaves after `layer`, of those who wait; nobody else is asked."""
        leaves, places = np.zeros(len(running), dtype=bool), np.flatnonzero(waiting)
        if not len(places):
            return leaves
        asked, index = running[places], self._index(places)
        uids = [self.uids[row] for row in asked]
        decided, logits = decide_tokens(
            self.exit_policy, layer, [step] * len(asked), uids, before[index], after[index], self.model.logits
        )
        leaves[places] = decided.cpu().numpy()
        for row in asked:
            self.rows[row].checks += 1
        if logits is not None:
            self._said |= dict(zip(running[leaves].tolist(), logits[:, 0], strict=True))
        return leaves

    def _logits(self, step: int, active: np.ndarray) -> Tensor:
        """Return the logits [G, V] of each active row at its exit: those by which it left, where it did."""
        if not self._said:
            return self.model.logits(self.exit_states[self._index(active), step][:, None])[:, 0]
        silent = np.array([row for row in active if row not in self._said], dtype=int)
        if len(silent):
            logits = self.model.logits(self.exit_states[self._index(silent), step][:, None])[:, 0]
            self._said |= dict(zip(silent.tolist(), logits, strict=True))
        return torch.stack([self._said[row] for row in active.tolist()])

    def _leave(self, layer: int, step: int, rows: np.ndarray, states: Tensor) -> None:
        self.exit_states[self._index(rows), step] = states[:, 0]
        for row in rows:
            self.rows[row].depths.append(layer + 1)

    def _run_layer(self, layer: int, step: int, running: np.ndarray, waiting: np.ndarray, state: Tensor) -> Tensor:
        """One decoder layer for one token of each running row.

        Rows that no longer wait (wait_all) are computed and thrown away: nothing of theirs becomes valid.
        """
        module, store = self.model.decoder_layer(layer), self._store(layer)
        mine = running[waiting]
        self._project_cross(layer, mine[~store.has_cross[mine]])
        if self.kv_policy == "propagate":
            self._fill_skipped(layer, step, mine)
        rows, places = self._index(running), self._index(store.length[running])
        lengths = store.length[running] + 1
        store.length[mine] += 1
        longest = int(lengths.max())
        everyone = len(running) == len(self.rows)
        chosen = slice(None) if everyone else rows
        self_bias = self._self_bias(layer, step, lengths)

        def own(queries: Tensor, normed: Tensor) -> Tensor:
            keys, values = module.self_attn.keys_values(normed)
            store.self_keys[rows, :, places] = keys[:, :, 0]
            store.self_values[rows, :, places] = values[:, :, 0]
            seen = store.self_keys[chosen, :, :longest], store.self_values[chosen, :, :longest]
            return module.self_attn.over(seen, self_bias)(queries, normed)

        cross = store.cross_keys[chosen], store.cross_values[chosen]
        return module(state, own, module.cross_attn.over(cross, self.tables.cross_attention[:, step : step + 1]))

    def _self_bias(self, layer: int, step: int, lengths: np.ndarray) -> Tensor:
        """Bias [H, 1, K] or [G, H, 1, K]: the keys a row has get the biases of its most recent positions."""
        row = self.tables.self_attention[layer][:, step]
        longest = int(lengths.max())
        if lengths.min() == longest:
            return row[:, None, step + 1 - longest : step + 1]
        key = np.arange(longest)
        columns = self._index(np.clip(step + 1 - lengths[:, None] + key, 0, step))
        absent = self._index(key >= lengths[:, None])
        return row[:, columns].transpose(0, 1).masked_fill(absent[:, None], float("-inf"))[:, :, None]

    def _project_cross(self, layer: int, rows: np.ndarray) -> None:
        """Project the memory of rows whose token reaches this layer for the first time."""
        if not len(rows):
            return
        store, index = self._store(layer), self._index(rows)
        store.cross_keys[index], store.cross_values[index] = self.model.decoder_layer(layer).cross_keys_values(
            self.memory[index]
        )
        store.has_cross[rows] = True

    def _fill_skipped(self, layer: int, step: int, rows: np.ndarray) -> None:
        """Project, in one dense call, all earlier positions that skipped this layer, from their exit states."""
        store = self._store(layer)
        skipped = [(row, place) for row in rows for place in range(store.length[row], step)]
        if not skipped:
            return
        owners, places = (self._index(np.array(column)) for column in zip(*skipped, strict=True))
        keys, values = self.model.decoder_layer(layer).self_keys_values(self.exit_states[owners, places][:, None])
        store.self_keys[owners, :, places] = keys[:, :, 0]
        store.self_values[owners, :, places] = values[:, :, 0]
        for row in rows:
            self.rows[row].kv_fills += step - int(store.length[row])
        store.length[rows] = step

    def _take_tokens(self, active: np.ndarray, logits: Tensor) -> None:
        """Append each active row's next token, or mark the row whose logits are not finite."""
        finite = logits.isfinite().all(dim=1).cpu().numpy()
        histories = [self.rows[row].tokens for row in active]
        tokens = greedy_tokens(logits, histories, self.generation, self.model.config)
        for row, token, is_finite in zip(active, tokens, finite, strict=True):
            self.rows[row].finite = bool(is_finite)
            self.rows[row].tokens.append(token)
            self.rows[row].stopped = token == self.model.config.eos_token_id

    def _store(self, layer: int) -> _LayerStore:
        if layer not in self._stores:
            attention = self.model.decoder_layer(layer).self_attn
            head_dim = self.model.config.d_model // attention.heads
            self._stores[layer] = _LayerStore(
                len(self.rows), attention.heads, head_dim, self.generation.max_tokens, self.memory.shape[1], self.memory
            )
        return self._stores[layer]

    def _index(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.memory.device)
