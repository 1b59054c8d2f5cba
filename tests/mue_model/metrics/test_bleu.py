from __future__ import annotations

import math

import pytest

from mue_model.metrics.bleu import BleuCounts, bleu, bleu_counts


def score(candidate: str, *references: str) -> tuple[float, ...]:
    return bleu(bleu_counts(candidate.split(), [reference.split() for reference in references]))


def test_the_example_of_the_paper() -> None:
    references = ("the cat is on the mat", "there is a cat on the mat")
    assert score("the the the the the the the", *references)[0] == pytest.approx(2 / 7)


def test_precisions_are_multiplied_and_averaged_geometrically() -> None:
    # 4 of 5 words; 2 of 4 pairs; 1 of 3 triples; 0 of 2 quadruples.
    one, two, three, four = score("a b c x d", "a b c d e")
    assert one == pytest.approx(4 / 5)
    assert two == pytest.approx((4 / 5 * 2 / 4) ** (1 / 2))
    assert three == pytest.approx((4 / 5 * 2 / 4 * 1 / 3) ** (1 / 3))
    assert four < 1e-3


def test_brevity_is_of_the_closest_reference_and_of_two_as_close_of_the_shorter() -> None:
    assert score("a b", "a b c d")[0] == pytest.approx(math.exp(1 - 4 / 2))
    assert score("a b", "a b c d e f", "a b x")[0] == pytest.approx(math.exp(1 - 3 / 2))
    counts = bleu_counts(["a"] * 3, [["a"] * 4, ["a"] * 2])
    assert (counts.candidate_length, counts.reference_length) == (3, 2)
    assert score("a b c", "a b")[0] == pytest.approx(2 / 3)


def test_counts_add_up_over_rows_and_scores_do_not() -> None:
    good, bad = bleu_counts(["a"] * 4, [["a"] * 4]), bleu_counts(["a"], [["b"]])
    assert bleu(good + bad)[0] == pytest.approx(4 / 5)
    assert good + BleuCounts() == good


def test_an_empty_caption_scores_nothing_and_no_reference_is_refused() -> None:
    assert score("", "a b") == pytest.approx((0.0,) * 4)
    with pytest.raises(ValueError, match="at least one reference"):
        bleu_counts(["a"], [])
