from __future__ import annotations

from typing import Any

import pytest

from jobs.answer_scores import AnswerScorer, expected, usable
from mue_model.metrics.entailment import LabelAccuracy, label_accuracy
from mue_model.metrics.vqa import VqaScores


@pytest.mark.parametrize(
    ("task", "gold", "is_usable"),
    [
        ("entailment", ["neutral"], True),
        ("entailment", ["-"], False),
        ("entailment", [], False),
        ("entailment", ["neutral", "neutral"], False),
        ("entailment", [["neutral"]], False),
        ("vqa", ["red"], True),
        ("vqa", [["red", "blue"]], True),
        ("vqa", [7, " "], False),
        ("vqa", [], False),
    ],
)
def test_what_may_be_a_label(task: str, gold: list[Any], is_usable: bool) -> None:
    assert usable(task, gold) == is_usable
    assert expected(task)


def test_labels_are_counted_together_and_by_group() -> None:
    scorer = AnswerScorer("entailment")
    pairs = [("neutral", "neutral", "1"), ("neutral", None, "1"), ("entailment", "neutral", "2")]
    for gold, label, group in pairs:
        scorer.add([gold], label=label, text="whatever", group=group)
    assert scorer.scores() == label_accuracy([(gold, label) for gold, label, _ in pairs])
    by_group = scorer.scores_by_group()
    assert isinstance(by_group["1"], LabelAccuracy)
    assert (by_group["1"].accuracy, by_group["1"].no_answer["neutral"], by_group["2"].accuracy) == (0.5, 1, 0.0)


def test_answers_are_marked_against_what_people_said() -> None:
    scorer = AnswerScorer("vqa")
    assert scorer.scores() is None
    scorer.add([["red"] * 10], label=None, text="Red", group="1")
    scorer.add([["red"] * 2 + ["blue"] * 8], label=None, text="red", group="1")
    scorer.add(["two"], label=None, text="2", group="2")
    scorer.add(["two"], label=None, text=None, group="2")
    scores = scorer.scores()
    assert isinstance(scores, VqaScores)
    assert (scores.rows, scores.no_answer) == (4, 1)
    assert scores.accuracy == pytest.approx((1 + 0.6 + 0 + 0) / 4)
    assert {group: found.accuracy for group, found in scorer.scores_by_group().items()} == {
        "1": pytest.approx(0.8),
        "2": 0.0,
    }
