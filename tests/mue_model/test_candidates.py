"""The answer trie and what is scored, against brute force."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from mue_model.candidates import allowed_tokens, best_candidate, candidate_scores, scored_positions, target_ids
from mue_model.rows import Candidate

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


@given(answers, st.integers(0, 2**31))
def test_scores_are_those_of_a_masked_vocabulary(drawn: list[list[int]], seed: int) -> None:
    candidates = named(drawn)
    generator = torch.Generator().manual_seed(seed)
    prefixes = {candidate.ids[:size] for candidate in candidates for size in range(len(candidate.ids))}
    logits = {p: torch.randn(VOCABULARY, generator=generator, dtype=torch.float64) for p in sorted(prefixes)}
    stacked = torch.stack([logits[c.ids[:size]] for c in candidates for size in range(len(c.ids))])

    scores = candidate_scores(stacked, candidates)

    expected = [brute_force_score(logits, candidates, candidate) for candidate in candidates]
    assert all(math.isclose(ours, theirs, abs_tol=1e-12) for ours, theirs in zip(scores, expected, strict=True))
    assert math.isclose(sum(math.exp(score) for score in scores), 1, abs_tol=1e-9), (
        "the candidates share all probability"
    )


def test_only_continuations_of_the_prefix_are_allowed() -> None:
    candidates = named([[5], [5, 6], [7]])
    assert allowed_tokens(candidates, ()) == [5, 7]
    assert allowed_tokens(candidates, (5,)) == [2, 6]
    assert allowed_tokens(candidates, (7,)) == [2]


def test_the_decoder_reads_the_prompt_without_its_end_and_each_answer_without_its_end() -> None:
    candidates = named([[5], [6, 7]])
    prompt = (0, 9, 8, 2)
    ids = target_ids(prompt, candidates, pad=1)
    assert ids.tolist() == [[0, 9, 8, 5, 1], [0, 9, 8, 6, 7]]
    # The token at a scored position predicts the next: the last prompt token predicts the answer's first.
    assert scored_positions(prompt, candidates) == [(0, 2), (0, 3), (1, 2), (1, 3), (1, 4)]


def test_the_first_of_equals_wins() -> None:
    candidates = named([[5], [6], [7]])
    assert best_candidate(candidates, [-2.0, -1.0, -1.0]).label == "1"
