"""Choosing the next token. Host side: histories are lists of ids."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mue_model.config import GenerationConfig, ModelConfig


def banned_by_ngram(history: Sequence[int], size: int) -> list[int]:
    """Return the ids that would complete an n-gram of `size` that `history` already holds; none for size 0."""
    if size <= 0 or len(history) < size:
        return []
    tail = tuple(history[len(history) - size + 1 :])
    return [
        history[start + size - 1]
        for start in range(len(history) - size + 1)
        if tuple(history[start : start + size - 1]) == tail
    ]


def greedy_tokens(
    logits: Tensor, histories: Sequence[Sequence[int]], generation: GenerationConfig, model: ModelConfig
) -> list[int]:
    """Return the most probable permitted token of each row.

    `logits` [G, V]; `histories` holds each row's generated ids so far. Padding is never generated.
    """
    allowed = logits.clone()
    allowed[:, model.pad_token_id] = float("-inf")
    for row, history in enumerate(histories):
        banned = banned_by_ngram(history, generation.no_repeat_ngram)
        if banned:
            allowed[row, banned] = float("-inf")
    return allowed.argmax(dim=-1).tolist()
