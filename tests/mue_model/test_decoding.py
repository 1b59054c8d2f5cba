"""The next token: n-gram ban against brute force, padding never, nothing but the ban changes the choice."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.config import GenerationConfig
from mue_model.decoding import banned_by_ngram, greedy_tokens

HISTORIES = st.lists(st.integers(0, 4), max_size=14)


def has_repeat(ids: list[int], size: int) -> bool:
    grams = [tuple(ids[start : start + size]) for start in range(len(ids) - size + 1)]
    return len(grams) != len(set(grams))


@settings(deadline=None, max_examples=300)
@given(history=HISTORIES, size=st.integers(1, 5))
def test_banned_are_exactly_the_ids_that_repeat_an_ngram(history: list[int], size: int) -> None:
    known = {tuple(history[start : start + size]) for start in range(len(history) - size + 1)}
    repeats = {token for token in range(6) if tuple([*history, token][-size:]) in known and len(history) >= size - 1}
    assert set(banned_by_ngram(history, size)) == repeats


@pytest.mark.parametrize("size", [0, -1])
def test_size_zero_bans_nothing(size: int) -> None:
    assert banned_by_ngram([1, 1, 1, 1], size) == []


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), size=st.integers(2, 4), rows=st.integers(1, 4))
def test_no_generated_text_repeats_an_ngram(small_config: Any, seed: int, size: int, rows: int) -> None:
    torch.manual_seed(seed)
    config, generation = small_config(), GenerationConfig(no_repeat_ngram=size)
    histories: list[list[int]] = [[] for _ in range(rows)]
    for _ in range(12):
        logits = torch.randn(rows, 20).mul(0.1) + torch.arange(20.0, 0.0, -1.0)
        before = logits.clone()
        for history, token in zip(histories, greedy_tokens(logits, histories, generation, config), strict=True):
            history.append(token)
        assert torch.equal(logits, before)
    assert not any(has_repeat(history, size) for history in histories)
    assert all(config.pad_token_id not in history for history in histories)


def test_the_best_permitted_token_is_taken_row_by_row(small_config: Any) -> None:
    logits = torch.tensor([[0.0, 9.0, 5.0, 4.0]]).expand(3, -1)
    histories = [[], [2, 2], [3, 2, 3, 3]]
    assert greedy_tokens(logits, histories, GenerationConfig(no_repeat_ngram=2), small_config()) == [2, 3, 0]
    assert greedy_tokens(logits, histories, GenerationConfig(no_repeat_ngram=0), small_config()) == [2, 2, 2]
