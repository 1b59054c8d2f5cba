"""What makes similarity tell who may stop: rows that have settled are to be more alike from layer to layer than others.

Without it the similarities of all images lie within a few thousandths after the third layer, and one threshold is a
constant depth. Here each layer's similarities are ranked: those of states that need no more layers above those that do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mue_model.exits import row_similarity

MARGIN = 0.02
"""By how much the similarity of a settled state is to exceed that of another one."""


def stream_ranking(states: Sequence[Tensor], first: Tensor) -> Tensor:
    """Return the ranking loss of an encoder stream, a scalar: 0 where every layer tells settled rows by `MARGIN`.

    Args:
        states: L + 1 states [N, T, C], that before the first layer included.
        first: int64 [N], layers run after which a row is to have settled.
    """
    layers = len(states) - 1
    terms = [
        _ranking(row_similarity(states[layer - 1], states[layer]), first.to(states[0].device) <= layer)
        for layer in range(1, layers)
    ]
    return torch.stack(terms).mean() if terms else states[0].new_zeros(())


def token_ranking(states: Sequence[Tensor], logits: Sequence[Tensor]) -> Tensor:
    """Return the ranking loss of decoder tokens, a scalar: a token has settled if the last layer would say the same.

    Args:
        states: L states [tokens, C], after each layer.
        logits: L logits [tokens, V].
    """
    last = logits[-1].argmax(dim=-1)
    terms = [
        _ranking(row_similarity(states[layer - 1], states[layer]), logits[layer].argmax(dim=-1) == last)
        for layer in range(1, len(states) - 1)
    ]
    return torch.stack(terms).mean() if terms else states[0].new_zeros(())


def answer_ranking(states: Sequence[Tensor], scored: Tensor, logits: Sequence[Tensor]) -> Tensor:
    """Return the ranking loss of whole target sequences, which exit as one: settled if no scored token would change.

    Args:
        states: L states [N, U, C], after each layer; zero at padding.
        scored: bool [N, U]
        logits: L logits [tokens, V] of the scored tokens, row by row.
    """
    last = logits[-1].argmax(dim=-1)
    terms = []
    for layer in range(1, len(states) - 1):
        changed = torch.zeros_like(scored).masked_scatter(scored, logits[layer].argmax(dim=-1) != last)
        terms.append(_ranking(row_similarity(states[layer - 1], states[layer]), ~changed.any(dim=1)))
    return torch.stack(terms).mean() if terms else states[0].new_zeros(())


def _ranking(similarity: Tensor, settled: Tensor) -> Tensor:
    """Mean over pairs of a settled state and another, of what their similarities [N] lack to `MARGIN`, in margins."""
    pairs = similarity[settled][:, None] - similarity[~settled][None, :]
    return torch.relu(1 - pairs / MARGIN).sum() / max(1, pairs.numel())
