"""Candidate answers: which tokens may follow, what the decoder reads of them, and what is scored.

OFA scores every answer teacher-forced behind the prompt. Logits of tokens that no candidate could continue with are
dropped before the softmax (an answer trie), and a candidate's score is the sum of its log-probabilities, end of
sequence included. Where only one token may follow, its log-probability is 0 whatever the logits: nothing is computed.

All candidates are read in one sequence: the prompt, then every token of the trie, which sees those it continues and no
others. So what answers have in common runs once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mue_model.rows import Candidate


@dataclass(frozen=True)
class TargetShape:
    """How the tokens of a target sequence hang together, whatever they are."""

    parents: tuple[int, ...]
    """Of each token the place of the one it continues; -1 for the first."""
    places: tuple[tuple[int, ...], ...]
    """Of each candidate the places of its tokens: the prompt's, then its own."""
    branches: tuple[int, ...]
    """Places behind which several tokens may follow: their logits are needed."""

    @property
    def tokens(self) -> int:
        """Tokens that the decoder reads."""
        return len(self.parents)

    @property
    def length(self) -> int:
        """Positions of the longest candidate."""
        return max(map(len, self.places))

    @property
    def positions(self) -> np.ndarray:
        """int64 [S]: position of each token in its candidates."""
        positions: list[int] = []
        for parent in self.parents:
            positions.append(positions[parent] + 1 if parent >= 0 else 0)
        return np.array(positions)

    @property
    def visible(self) -> np.ndarray:
        """bool [S, S]: whether a token sees another; it sees itself and those it continues."""
        seen = np.eye(self.tokens, dtype=bool)
        for token, parent in enumerate(self.parents):
            if parent >= 0:
                seen[token] |= seen[parent]
        return seen

    def flattened(self, states: Tensor) -> Tensor:
        """Return [G, K x U, C], all candidates side by side as published, of states [G, S, C]; zero at padding."""
        padded = [[*places, *[self.tokens] * (self.length - len(places))] for places in self.places]
        index = torch.tensor(padded, device=states.device).flatten()
        return torch.cat([states, torch.zeros_like(states[:, :1])], dim=1)[:, index]


@dataclass(frozen=True)
class Targets:
    """What the decoder reads of one row with candidates."""

    ids: tuple[int, ...]
    """Token ids [S]"""
    shape: TargetShape


def targets_of(prompt_ids: Sequence[int], candidates: Sequence[Candidate]) -> Targets:
    """Return the target sequence: prompt without eos, answers without eos, what they have in common once."""
    answers, shape = _trie(len(prompt_ids) - 1, tuple(candidate.ids for candidate in candidates))
    return Targets((*prompt_ids[:-1], *answers), shape)


@lru_cache(maxsize=1024)
def _trie(prompt: int, answers: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], TargetShape]:
    """Return the answers' tokens and the shape of a target sequence whose prompt has `prompt` tokens."""
    ids: list[int] = []
    parents = list(range(-1, prompt - 1))
    found: dict[tuple[int, ...], int] = {(): prompt - 1}
    places = []
    for answer in answers:
        for size in range(1, len(answer)):
            if answer[:size] not in found:
                found[answer[:size]] = len(parents)
                parents.append(found[answer[: size - 1]])
                ids.append(answer[size - 1])
        places.append((*range(prompt), *(found[answer[:size]] for size in range(1, len(answer)))))
    branches = tuple(found[prefix] for prefix in _branching(answers))
    return tuple(ids), TargetShape(tuple(parents), tuple(places), branches)


def allowed_tokens(answers: Sequence[tuple[int, ...]], prefix: Sequence[int]) -> list[int]:
    """Return the tokens that some answer continues `prefix` with, sorted."""
    size = len(prefix)
    return sorted({ids[size] for ids in answers if len(ids) > size and ids[:size] == tuple(prefix)})


def _branching(answers: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the beginnings of answers that several tokens may follow, in order of appearance."""
    prefixes = dict.fromkeys(ids[:size] for ids in answers for size in range(len(ids)))
    return [prefix for prefix in prefixes if len(allowed_tokens(answers, prefix)) > 1]


def candidate_scores(logits: Tensor, candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Return the score of each candidate; `logits` [branches, V] in the order of `TargetShape.branches`."""
    answers = tuple(candidate.ids for candidate in candidates)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    gains: dict[tuple[int, ...], float] = {}
    for own, prefix in zip(wide, _branching(answers), strict=True):
        allowed = allowed_tokens(answers, prefix)
        for token, gain in zip(allowed, own[allowed].log_softmax(dim=0).tolist(), strict=True):
            gains[(*prefix, token)] = gain
    return tuple(sum(gains.get(ids[: size + 1], 0.0) for size in range(len(ids))) for ids in answers)


def best_candidate(candidates: Sequence[Candidate], scores: Sequence[float]) -> Candidate:
    """Return the candidate with the highest score, the first of equals."""
    return candidates[max(range(len(candidates)), key=lambda number: scores[number])]
