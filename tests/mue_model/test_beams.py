"""Beam search against a search through all texts, and against its own rules one by one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.beams import BeamSearch
from mue_model.config import GenerationConfig, ModelConfig
from mue_model.decoding import advance_beams

VOCABULARY, END, PAD = 5, 2, 1
NOTHING = GenerationConfig(no_repeat_ngram=0)


@pytest.fixture(scope="module")
def config(small_config: Any) -> ModelConfig:
    made: ModelConfig = small_config(vocab_size=VOCABULARY)
    return made


def logits_behind(text: tuple[int, ...], seed: int) -> torch.Tensor:
    """A language model: logits [V] that depend on all of the text."""
    generator = torch.Generator().manual_seed(hash((seed, text)) % 2**31)
    return torch.randn(VOCABULARY, generator=generator, dtype=torch.float64) * 2


def searched(beams: int, steps: int, seed: int, config: ModelConfig, generation: GenerationConfig) -> BeamSearch:
    search = BeamSearch(beams, steps, END)
    while not search.done:
        logits = torch.stack([logits_behind(text, seed) for text in search.tokens])
        [parents] = advance_beams(logits[None], [search], generation, config)
        assert len(parents) == beams
    return search


def log_probability(text: tuple[int, ...], seed: int) -> float:
    total = 0.0
    for place, token in enumerate(text):
        logits = logits_behind(text[:place], seed)
        logits[PAD] = -torch.inf
        if place + 1 == 3:
            logits[torch.arange(VOCABULARY) != END] = -torch.inf
        total += float(logits.log_softmax(0)[token])
    return total


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_enough_beams_find_the_best_of_all_texts(config: ModelConfig, seed: int) -> None:
    steps, words = 3, [token for token in range(VOCABULARY) if token not in (END, PAD)]
    texts = [(*text, END) for length in range(steps) for text in itertools.product(words, repeat=length)]
    best = max(texts, key=lambda text: log_probability(text, seed) / len(text))
    assert searched(len(texts), steps, seed, config, NOTHING).best == best


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), beams=st.integers(2, 4), steps=st.integers(1, 6))
def test_every_text_ends_and_none_is_padded_or_too_long(config: ModelConfig, seed: int, beams: int, steps: int) -> None:
    search = searched(beams, steps, seed, config, NOTHING)
    assert search.best[-1] == END
    assert END not in search.best[:-1]
    assert PAD not in search.best
    assert len(search.best) <= steps


def test_an_ngram_never_comes_twice(config: ModelConfig) -> None:
    for seed in range(20):
        best = searched(3, 12, seed, config, GenerationConfig(no_repeat_ngram=2)).best
        pairs = list(itertools.pairwise(best))
        assert len(pairs) == len(set(pairs))


def test_a_longer_text_wins_by_its_mean_not_its_sum() -> None:
    search = BeamSearch(2, 4, END)
    search.advance([-1.0, -1.2, -3.0, -4.0], [0, 0, 0, 0], [END, 3, 4, 0])  # ends at -1.0 a token
    assert not search.done
    search.advance([-1.4, -9.0, -9.5, -9.9], [0, 1, 0, 1], [END, 3, 3, 4])  # ends at -.7 a token
    assert search.done
    assert search.best == (3, END)


def test_an_end_that_is_not_among_the_best_is_no_end() -> None:
    search = BeamSearch(2, 9, END)
    parents = search.advance([-1.0, -2.0, -3.0, -4.0], [0, 1, 1, 0], [3, 4, END, 0])
    assert parents == [0, 1]
    assert search.tokens == [(3,), (4,)]
    assert search.scores == [-1.0, -2.0]
    search.advance([-2.0, -2.5, -3.0, -4.0], [1, 0, 0, 0], [END, 3, 4, 0])
    assert [text[-1] for text in search.tokens] == [3, 4], "the beam that ended makes room for the next best"
    assert not search.done


def test_the_first_step_starts_from_one_beam(config: ModelConfig) -> None:
    search = BeamSearch(3, 5, END)
    logits = logits_behind((), 0).expand(1, 3, -1).clone()
    advance_beams(logits, [search], NOTHING, config)
    assert len(set(search.tokens)) == 3, "beams that all hold the same text would stay the same"
