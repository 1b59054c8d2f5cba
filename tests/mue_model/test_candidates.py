"""The answer trie and what is scored, against brute force."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mue_model.candidates import Targets, allowed_tokens, best_candidate, candidate_scores, targets_of
from mue_model.rows import Candidate, target_length

VOCABULARY = 8
answers = st.lists(
    st.lists(st.integers(3, VOCABULARY - 1), min_size=1, max_size=3), min_size=1, max_size=4, unique_by=tuple
)


def named(answers: list[list[int]]) -> tuple[Candidate, ...]:
    """Candidates labelled by their place, each ending in eos (2)."""
    return tuple(Candidate(label=str(place), ids=(*ids, 2)) for place, ids in enumerate(answers))


def brute_force_score(
    logits: dict[tuple[int, ...], torch.Tensor], candidates: tuple[Candidate, ...], of: Candidate
) -> float:
    """OFA's way: a mask over the whole vocabulary before the softmax."""
    score = 0.0
    for size, token in enumerate(of.ids):
        prefix = of.ids[:size]
        mask = torch.full((VOCABULARY,), -math.inf, dtype=torch.float64)
        for other in candidates:
            if len(other.ids) > size and other.ids[:size] == prefix:
                mask[other.ids[size]] = 0
        score += float((logits[prefix] + mask).log_softmax(0)[token])
    return score


def answer_at(targets: Targets, place: int) -> tuple[int, ...]:
    """What of an answer has been read up to a place, the one-token prompt left out."""
    tokens: list[int] = []
    while place > 0:
        tokens.insert(0, targets.ids[place])
        place = targets.shape.parents[place]
    return tuple(tokens)


@given(answers, st.integers(0, 2**31))
def test_scores_are_those_of_a_masked_vocabulary(drawn: list[list[int]], seed: int) -> None:
    candidates = named(drawn)
    generator = torch.Generator().manual_seed(seed)
    prefixes = {candidate.ids[:size] for candidate in candidates for size in range(len(candidate.ids))}
    logits = {p: torch.randn(VOCABULARY, generator=generator, dtype=torch.float64) for p in sorted(prefixes)}
    targets = targets_of((0, 2), candidates)
    stacked = torch.stack([logits[answer_at(targets, place)] for place in targets.shape.branches] or [torch.zeros(8)])

    scores = candidate_scores(stacked[: len(targets.shape.branches)], candidates)

    expected = [brute_force_score(logits, candidates, candidate) for candidate in candidates]
    assert all(math.isclose(ours, theirs, abs_tol=1e-12) for ours, theirs in zip(scores, expected, strict=True))
    assert math.isclose(sum(math.exp(score) for score in scores), 1, abs_tol=1e-9), (
        "the candidates share all probability"
    )


def test_only_continuations_of_the_prefix_are_allowed() -> None:
    candidates = named([[5], [5, 6], [7]])
    ids = [candidate.ids for candidate in candidates]
    assert allowed_tokens(ids, ()) == [5, 7]
    assert allowed_tokens(ids, (5,)) == [2, 6]
    assert allowed_tokens(ids, (7,)) == [2]


def test_the_decoder_reads_the_prompt_and_each_answer_without_its_end_and_what_they_share_once() -> None:
    targets = targets_of((0, 9, 8, 2), named([[5], [5, 6], [7, 6]]))
    shape = targets.shape
    assert targets.ids == (0, 9, 8, 5, 6, 7, 6)
    assert shape.places == ((0, 1, 2, 3), (0, 1, 2, 3, 4), (0, 1, 2, 5, 6))
    assert shape.positions.tolist() == [0, 1, 2, 3, 4, 3, 4]
    assert (shape.tokens, shape.length) == (7, 5)
    # The token at a place predicts the next: 5 or 7 behind the prompt, 6 or the end behind 5, and nothing else is open.
    assert shape.branches == (2, 3)
    assert [np.flatnonzero(seen).tolist() for seen in shape.visible[3:]] == [
        [0, 1, 2, 3],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 5],
        [0, 1, 2, 5, 6],
    ]


@given(answers, st.integers(1, 4))
def test_every_candidate_reads_its_own_tokens_and_only_those(drawn: list[list[int]], prompt: int) -> None:
    candidates = named(drawn)
    targets = targets_of((*range(10, 10 + prompt), 2), candidates)
    for candidate, places in zip(candidates, targets.shape.places, strict=True):
        assert tuple(targets.ids[place] for place in places) == (*range(10, 10 + prompt), *candidate.ids[:-1])
        assert targets.shape.positions[list(places)].tolist() == list(range(len(places)))
        assert np.flatnonzero(targets.shape.visible[places[-1]]).tolist() == sorted(places)
    assert targets.shape.length == target_length((*range(prompt), 2), candidates)


def test_states_are_flattened_as_published_candidate_by_candidate_with_zeros_at_padding() -> None:
    shape = targets_of((0, 9, 2), named([[5], [6, 7]])).shape
    states = torch.arange(1.0, 6)[None, :, None]
    assert shape.flattened(states).flatten().tolist() == [1, 2, 3, 0, 1, 2, 4, 5]


def test_the_first_of_equals_wins() -> None:
    candidates = named([[5], [6], [7]])
    assert best_candidate(candidates, [-2.0, -1.0, -1.0]).label == "1"
