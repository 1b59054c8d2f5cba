"""Choosing the next token, or the next beams. Host side: histories are lists of ids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mue_model.beams import BeamSearch
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
    logits: Tensor,
    histories: Sequence[Sequence[int]],
    generation: GenerationConfig,
    model: ModelConfig,
    *,
    overwrite: bool = False,
) -> list[int]:
    """Return the most probable permitted token of each row.

    `logits` [G, V] stay as they are unless `overwrite` permits to change them, which spares a copy; `histories` holds
    each row's generated ids so far. Padding is never generated.
    """
    allowed = logits if overwrite else logits.clone()
    allowed[:, model.pad_token_id] = float("-inf")
    if generation.no_repeat_ngram:
        for row, history in enumerate(histories):
            banned = banned_by_ngram(history, generation.no_repeat_ngram)
            if banned:
                allowed[row, banned] = float("-inf")
    return allowed.argmax(dim=-1).tolist()


def advance_beams(
    logits: Tensor, searches: Sequence[BeamSearch], generation: GenerationConfig, model: ModelConfig
) -> list[list[int]]:
    """Let every search take its next step; return for each which beams its new ones continue.

    `logits` [G, beams, V] of the searches' beams are overwritten where a token is not permitted: padding, what repeats
    an n-gram, and at the last step all but the end.
    """
    logits[:, :, model.pad_token_id] = float("-inf")
    for row, search in enumerate(searches):
        if search.must_end:
            end = logits[row, :, model.eos_token_id].clone()
            logits[row] = float("-inf")
            logits[row, :, model.eos_token_id] = end
        elif generation.no_repeat_ngram:
            for beam, history in enumerate(search.tokens):
                banned = banned_by_ngram(history, generation.no_repeat_ngram)
                if banned:
                    logits[row, beam, banned] = float("-inf")
    wide = torch.promote_types(logits.dtype, torch.float32)
    before = torch.tensor([search.scores for search in searches], dtype=wide, device=logits.device)
    totals = logits.to(wide).log_softmax(dim=-1) + before[:, :, None]
    scores, places = totals.flatten(1).topk(min(2 * totals.shape[1], totals[0].numel()), dim=1)
    vocabulary = logits.shape[2]
    return [
        search.advance(own, [place // vocabulary for place in at], [place % vocabulary for place in at])
        for search, own, at in zip(searches, scores.tolist(), places.tolist(), strict=True)
    ]
