from __future__ import annotations

import math

import numpy as np
import pytest

from mue_model.metrics.cider import CiderD


def scorer(*rows: tuple[str, list[str]], chunk_words: int = 1 << 17) -> CiderD:
    found = CiderD(chunk_words=chunk_words)
    for candidate, references in rows:
        found.add(candidate.split(), [reference.split() for reference in references])
    return found


OTHER = ("z", ["z"])
"""A row that makes every other word rare: log(2 / 1)."""


def test_a_caption_like_its_only_reference_scores_ten_a_fourth_of_it_for_each_n_that_it_reaches() -> None:
    scores = scorer(("a b c d", ["a b c d"]), ("e f", ["e f"]), ("g", ["g"])).scores()
    assert scores == pytest.approx([10, 5, 2.5])


def test_words_said_more_often_than_in_the_reference_are_clipped() -> None:
    # With L = log 2: min(2L, L) * L over norms 2L and sqrt(2) L; no pair of words in common.
    scores = scorer(("a a", ["a b"]), OTHER).scores()
    assert scores[0] == pytest.approx(10 * (1 / (2 * math.sqrt(2))) / 4)


def test_another_length_costs_by_a_gaussian_of_sigma_six() -> None:
    scores = scorer(("a", ["a b c"]), OTHER).scores()
    assert scores[0] == pytest.approx(10 * (1 / math.sqrt(3)) * math.exp(-(2**2) / (2 * 6**2)) / 4)


def test_references_are_averaged() -> None:
    assert scorer(("a", ["a", "b"]), OTHER).scores()[0] == pytest.approx(2.5 / 2)


def test_what_every_row_says_is_worth_nothing() -> None:
    scores = scorer(("the a", ["the a"]), ("the b", ["the c"]), ("the", ["the"])).scores()
    assert scores[0] == pytest.approx(10 * (1 + 1) / 4)
    assert scores[1:] == pytest.approx([0, 0])


def test_rarity_counts_rows_not_occurrences() -> None:
    # `a` is in two of three rows, however often a row says it: log(3 / 2). `b` is in one: log 3.
    scores = scorer(("a", ["a b", "a a a"]), ("x", ["a"]), OTHER).scores()
    a, b = math.log(3 / 2), math.log(3)
    first = a / math.hypot(a, b) * math.exp(-1 / 72)
    second = a * a / (a * 3 * a) * 3 * math.exp(-4 / 72)
    assert scores[0] == pytest.approx(10 * (first + second) / 2 / 4)


def test_a_corpus_of_one_row_scores_zero() -> None:
    assert scorer(("a b c d", ["a b c d"])).scores() == pytest.approx([0])


def test_scores_of_parts_are_not_those_of_the_whole() -> None:
    rows = [(f"a b w{n}", [f"a b w{n}", f"b w{n} v{n % 3}"]) for n in range(12)]
    assert scorer(*rows).scores().min() > 5
    assert [scorer(row).scores().sum() for row in rows] == [0] * 12
    halves = [scorer(*rows[:6]).scores().mean(), scorer(*rows[6:]).scores().mean()]
    assert abs(np.mean(halves) - scorer(*rows).scores().mean()) > 0.05


def test_a_scored_corpus_takes_no_more_rows() -> None:
    done = scorer(("a", ["a"]), OTHER)
    assert done.scores() is done.scores()
    with pytest.raises(ValueError, match="add all rows of all shards first"):
        done.add(["b"], [["b"]])


def test_a_row_without_references_and_a_corpus_without_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        CiderD().add(["a"], [])
    with pytest.raises(ValueError, match="without a row"):
        CiderD().scores()


def test_empty_captions_score_zero() -> None:
    assert scorer(("", ["a"]), ("b", [""]), ("", [""])).scores() == pytest.approx([0, 0, 0])
    assert scorer(("", [""])).scores() == pytest.approx([0])


@pytest.mark.parametrize("chunk_words", [1, 5, 50])
def test_chunks_do_not_change_a_score(chunk_words: int) -> None:
    rng = np.random.default_rng(0)

    def caption() -> str:
        return " ".join(f"w{number}" for number in rng.integers(0, 9, rng.integers(0, 9)))

    rows = [(caption(), [caption() for _ in range(rng.integers(1, 4))]) for _ in range(60)]
    whole = scorer(*rows).scores()
    assert len(set(whole.round(6))) > 20
    np.testing.assert_allclose(scorer(*rows, chunk_words=chunk_words).scores(), whole, rtol=1e-12, atol=1e-12)
