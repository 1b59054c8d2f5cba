"""Candidate answers: which tokens may follow, and what is scored.

OFA scores every answer teacher-forced behind the prompt. Logits of tokens that no candidate could continue with are
dropped before the softmax (an answer trie), and a candidate's score is the sum of its log-probabilities, end of
sequence included.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mue_model.rows import Candidate


def allowed_tokens(candidates: Sequence[Candidate], prefix: Sequence[int]) -> list[int]:
    """Return the tokens that some candidate continues `prefix` with, sorted."""
    size = len(prefix)
    return sorted({c.ids[size] for c in candidates if len(c.ids) > size and c.ids[:size] == tuple(prefix)})


def target_length(prompt_ids: Sequence[int], candidates: Sequence[Candidate]) -> int:
    """Return the decoder positions of each candidate: prompt without eos, answer without eos, padded to the longest."""
    return len(prompt_ids) - 1 + max(len(candidate.ids) for candidate in candidates) - 1


def target_ids(prompt_ids: Sequence[int], candidates: Sequence[Candidate], pad: int) -> Tensor:
    """Return the decoder input [K, U] of all candidates of one row, right-padded."""
    length = target_length(prompt_ids, candidates)
    rows = [[*prompt_ids[:-1], *candidate.ids[:-1]] for candidate in candidates]
    return torch.tensor([[*row, *[pad] * (length - len(row))] for row in rows])


def scored_positions(prompt_ids: Sequence[int], candidates: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Return (candidate, decoder position) of every token to be scored, candidate by candidate."""
    first = len(prompt_ids) - 2
    return [(number, first + i) for number, candidate in enumerate(candidates) for i in range(len(candidate.ids))]


def candidate_scores(logits: Tensor, candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Return the score of each candidate; `logits` [scored positions, V] in the order of `scored_positions`."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    scores, place = [], 0
    for candidate in candidates:
        score = 0.0
        for size, token in enumerate(candidate.ids):
            allowed = allowed_tokens(candidates, candidate.ids[:size])
            log_probabilities = wide[place, allowed].log_softmax(dim=0)
            score += float(log_probabilities[allowed.index(token)])
            place += 1
        scores.append(score)
    return tuple(scores)


def best_candidate(candidates: Sequence[Candidate], scores: Sequence[float]) -> Candidate:
    """Return the candidate with the highest score, the first of equals."""
    return candidates[max(range(len(candidates)), key=lambda number: scores[number])]
