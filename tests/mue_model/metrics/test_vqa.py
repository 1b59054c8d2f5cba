from __future__ import annotations

import pytest

from mue_model.metrics.vqa import VqaScores, VqaTally, normalise_answer, vqa_accuracy

# The expected values are what the official evaluation code gives.


@pytest.mark.parametrize(
    ("agreeing", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0), (10, 1.0)]
)
def test_agreement_is_averaged_over_leaving_one_out(agreeing: int, accuracy: float) -> None:
    humans = ["red"] * agreeing + [f"other {number}" for number in range(10 - agreeing)]
    assert vqa_accuracy("red", humans) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("The Red Car.", "red car"),
        ("Two", "2"),
        ("none", "0"),
        ("eleven", "eleven"),
        ("an apple, a pear", "apple pear"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("1,000 t-shirts", "1000 tshirts"),
        ("red,blue", "red blue"),
        ("3.5", "3.5"),
        ("5 p.m.", "5 pm"),
        ("10:30", "10:30"),
        ("dont", "don't"),
        ("couldnt've couldn'tve", "couldn't've couldn't've"),
        ("its shes lets", "its shes lets"),
        ("it's", "it's"),
        ("somebody'd", "somebodyd"),
        ("the", ""),
        ("  yes!  ", "yes"),
    ],
)
def test_answers_are_normalised_as_officially(raw: str, normal: str) -> None:
    assert normalise_answer(raw) == normal


def test_normalised_answers_agree() -> None:
    assert vqa_accuracy("the two dogs.", ["2 dogs", "two dogs!"] * 5) == 1.0


def test_answers_are_compared_as_they_are_where_all_people_agree() -> None:
    assert vqa_accuracy("Two", ["two"] * 10) == 1.0
    assert vqa_accuracy("2", ["two"] * 10) == 0.0
    assert vqa_accuracy("2", ["two"] * 9 + ["2"]) == 1.0


def test_leaving_one_out_needs_another() -> None:
    with pytest.raises(ValueError, match="1 human answers; leaving one out needs at least two"):
        vqa_accuracy("red", ["red"])


def test_a_question_without_an_answer_is_wrong_and_one_person_is_all_people() -> None:
    tally = VqaTally()
    for answer, people in [("red", ["red"]), ("blue", ["red"]), (None, ["red"] * 10), ("red", ["red"] * 10)]:
        tally.add(answer, people)
    assert tally.scores() == VqaScores(rows=4, accuracy=0.5, no_answer=1)
