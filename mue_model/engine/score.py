"""Candidate scoring for one batch of rows: all candidates of a row exit together, after one decision per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mue_model.candidates import TargetShape, candidate_scores, targets_of
from mue_model.config import BatchPolicy
from mue_model.engine.tables import Tables
from mue_model.exits import ExitPolicy
from mue_model.layers import KeysValues
from mue_model.model import MueModel
from mue_model.rows import Candidate, RowInput


@dataclass
class ScoredRow:
    """The scores of one row's candidates, and what was executed for it."""

    scores: tuple[float, ...] = ()
    depth: int = 0
    """Layers run."""
    computed: int = 0
    """Layers computed with the row in the batch; more than `depth` only under wait_all."""
    checks: int = 0


@dataclass(frozen=True)
class ScoreTables:
    """The decoder's biases for target sequences of one shape behind one memory geometry."""

    own: list[Tensor]
    """Per layer [H, S, S]; -inf where a token does not see another."""
    cross: Tensor
    """[H, S, M]"""

    @classmethod
    def of(cls, by_position: list[Tensor], cross: Tensor, shape: TargetShape) -> ScoreTables:
        """Return the biases by token, from those by position: [H, U, U] per layer, and [H, U, M]."""
        places = torch.from_numpy(shape.positions).to(cross.device)
        hidden = torch.from_numpy(~shape.visible).to(cross.device)
        own = [bias[:, places[:, None], places].masked_fill(hidden, float("-inf")) for bias in by_position]
        return cls(own, cross[:, places])


def score_layer(model: MueModel, layer: int, tables: ScoreTables, state: Tensor, memory: KeysValues) -> Tensor:
    """Run one decoder layer over all target tokens: [G, S, C] -> [G, S, C]; `memory` are its keys and values."""
    module = model.decoder_layer(layer)
    return module(state, *module.over(module.self_keys_values(state), tables.own[layer], memory, tables.cross))


def embed_targets(model: MueModel, rows: Sequence[RowInput]) -> Tensor:
    """Return the decoder's state_0 [G, S, C] of rows with candidates of one shape."""
    ids = torch.tensor([targets_of(row.prompt_ids, row.candidates).ids for row in rows])
    return model.embed_target(ids.to(model.device))


def scores_of(
    model: MueModel, states: Tensor, shape: TargetShape, candidates: Sequence[Sequence[Candidate]]
) -> list[tuple[float, ...]]:
    """Return the scores of each row's candidates from its exit state; `states` [G, S, C]."""
    logits = model.logits(states[:, list(shape.branches)])
    return [candidate_scores(own, answers) for own, answers in zip(logits, candidates, strict=True)]


def score_rows(
    model: MueModel,
    rows: Sequence[RowInput],
    memory: Tensor,
    tables: Tables,
    shape: TargetShape,
    exit_policy: ExitPolicy,
    batch_policy: BatchPolicy,
) -> list[ScoredRow]:
    """Score the candidates of rows of one geometry; `memory` is [N, M, C]."""
    config, biases = model.config, ScoreTables.of(tables.self_attention, tables.cross_attention, shape)
    state = embed_targets(model, rows)
    exit_states = torch.empty_like(state)
    scored = [ScoredRow() for _ in rows]
    running, waiting = np.arange(len(rows)), np.ones(len(rows), dtype=bool)
    for layer in range(config.decoder_layers):
        chosen = torch.from_numpy(running).to(memory.device)
        cross = model.decoder_layer(layer).cross_keys_values(memory[chosen])
        before, state = state, score_layer(model, layer, biases, state, cross)
        for row in running:
            scored[row].computed += 1
        if layer + 1 == config.decoder_layers:
            leaves = waiting
        elif exit_policy.may_exit("candidates", layer, 0):
            for row in running[waiting]:
                scored[row].checks += 1
            uids = [rows[int(row)].uid for row in running]
            flat = shape.flattened(before), shape.flattened(state)
            leaves = exit_policy.decide("candidates", layer, 0, uids, *flat).cpu().numpy() & waiting
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
    for result, scores in zip(scored, scores_of(model, exit_states, shape, [r.candidates for r in rows]), strict=True):
        result.scores = scores
    return scored
