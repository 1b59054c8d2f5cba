"""Candidate scoring for one batch of rows: all candidates of a row exit together, after one decision per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mue_model.candidates import candidate_scores, scored_positions, target_ids
from mue_model.config import BatchPolicy
from mue_model.engine.tables import Tables
from mue_model.exits import ExitPolicy
from mue_model.model import MueModel
from mue_model.rows import RowInput


@dataclass
class ScoredRow:
    """The scores of one row's candidates, and what was executed for it."""

    scores: tuple[float, ...] = ()
    depth: int = 0
    """Layers run."""
    computed: int = 0
    """Layers computed with the row in the batch; more than `depth` only under wait_all."""
    checks: int = 0
    scored_tokens: int = 0


def score_rows(
    model: MueModel,
    rows: Sequence[RowInput],
    memory: Tensor,
    tables: Tables,
    exit_policy: ExitPolicy,
    batch_policy: BatchPolicy,
) -> list[ScoredRow]:
    """Score the candidates of rows of one geometry; `memory` is [N, M, C]."""
    config = model.config
    ids = torch.stack([target_ids(row.prompt_ids, row.candidates, config.pad_token_id) for row in rows])
    ids = ids.to(model.device)
    length = ids.shape[2]
    present = (ids != config.pad_token_id)[..., None]
    state = model.embed_target(ids)
    exit_states = torch.empty_like(state)
    scored = [ScoredRow() for _ in rows]
    running, waiting = np.arange(len(rows)), np.ones(len(rows), dtype=bool)
    for layer in range(config.decoder_layers):
        chosen = torch.from_numpy(running).to(memory.device)
        before, state = state, ScoreLayer(model, tables, memory[chosen], length)(layer, state)
        for row in running:
            scored[row].computed += 1
        if layer + 1 == config.decoder_layers:
            leaves = waiting
        elif exit_policy.may_exit("decoder", layer, 0):
            for row in running[waiting]:
                scored[row].checks += 1
            uids = [rows[int(row)].uid for row in running]
            flat_before, flat_after = ((s * present[chosen]).flatten(1, 2) for s in (before, state))
            leaves = exit_policy.decide("decoder", layer, 0, uids, flat_before, flat_after).cpu().numpy() & waiting
        else:
            continue
        for place in np.flatnonzero(leaves):
            exit_states[running[place]] = state[place]
            scored[running[place]].depth = layer + 1
        waiting = waiting & ~leaves
        if not waiting.any() and batch_policy != "mask":
            break
        if batch_policy == "compact" and leaves.any():
            state, running = state[torch.from_numpy(np.flatnonzero(waiting)).to(memory.device)], running[waiting]
            waiting = np.ones(len(running), dtype=bool)
    _score(model, rows, exit_states, scored)
    return scored


class ScoreLayer:
    """Decoder layers over all positions of all candidates of rows of one geometry."""

    def __init__(self, model: MueModel, tables: Tables, memory: Tensor, length: int) -> None:
        """`memory` [G, M, C]; `length` positions of each candidate."""
        self.model, self.tables, self.memory, self.length = model, tables, memory, length
        causal = torch.full((length, length), float("-inf"), dtype=memory.dtype, device=memory.device)
        self._causal = causal.triu(1)

    def __call__(self, layer: int, state: Tensor) -> Tensor:
        """[G, K, U, C] -> [G, K, U, C]."""
        module, (rows, count, length, _) = self.model.decoder_layer(layer), state.shape
        flat = state.flatten(0, 1)
        keys, values = module.cross_keys_values(self.memory)
        cross = (keys.repeat_interleave(count, dim=0), values.repeat_interleave(count, dim=0))
        bias = self.tables.self_attention[layer][:, :length, :length] + self._causal
        over = module.over(module.self_keys_values(flat), bias, cross, self.tables.cross_attention[:, :length])
        return module(flat, *over).view(rows, count, length, -1)


def _score(model: MueModel, rows: Sequence[RowInput], exit_states: Tensor, scored: list[ScoredRow]) -> None:
    """One vocabulary projection for all scored positions of the batch."""
    places = [scored_positions(row.prompt_ids, row.candidates) for row in rows]
    picked = [
        exit_states[number, [candidate for candidate, _ in own], [position for _, position in own]]
        for number, own in enumerate(places)
    ]
    logits = model.logits(torch.cat(picked)[None])[0]
    for row, part, result in zip(rows, logits.split([len(own) for own in places]), scored, strict=True):
        result.scores = candidate_scores(part, row.candidates)
        result.scored_tokens = len(part)
