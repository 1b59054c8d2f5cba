from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mue_model.metrics.rouge import lcs_length, rouge_l

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def score(candidate: str, *references: str) -> float:
    return rouge_l(candidate.split(), [reference.split() for reference in references])


def test_the_example_of_the_paper() -> None:
    # Three and two of four words in order; precision equals recall, so beta does not matter.
    assert score("police kill the gunman", "police killed the gunman") == pytest.approx(3 / 4)
    assert score("the gunman kill police", "police killed the gunman") == pytest.approx(2 / 4)


def test_recall_weighs_more_than_precision() -> None:
    assert score("a b", "a b c d") == pytest.approx((1 + 1.44) * 1 * 0.5 / (0.5 + 1.44 * 1))
    assert score("a b c d", "a b") == pytest.approx((1 + 1.44) * 0.5 * 1 / (1 + 1.44 * 0.5))


def test_best_precision_and_best_recall_may_come_from_two_references() -> None:
    assert score("a b", "a b c d", "b") == pytest.approx(1.0)


def test_empty_captions_equal_each_other_only() -> None:
    assert score("", "a") == score("a", "") == score("a", "b") == 0.0
    assert rouge_l([], [[]]) == 1.0
    with pytest.raises(ValueError, match="at least one reference"):
        rouge_l(["a"], [])


@given(WORDS, WORDS)
def test_the_bit_parallel_length_is_that_of_the_recurrence(first: list[str], second: list[str]) -> None:
    @cache
    def length(i: int, j: int) -> int:
        if not i or not j:
            return 0
        if first[i - 1] == second[j - 1]:
            return length(i - 1, j - 1) + 1
        return max(length(i - 1, j), length(i, j - 1))

    assert lcs_length(first, second) == length(len(first), len(second))


def test_captions_longer_than_a_machine_word() -> None:
    first = [str(number) for number in range(200)]
    assert lcs_length(first, first[::2]) == 100
    assert lcs_length(first, first[::-1]) == 1
