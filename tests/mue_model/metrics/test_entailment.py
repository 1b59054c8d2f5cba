from __future__ import annotations

import pytest

from mue_model.metrics.entailment import label_accuracy

YES, MAYBE, NO = "entailment", "neutral", "contradiction"


def test_accuracy_confusion_and_recall() -> None:
    pairs = [(YES, YES), (YES, NO), (MAYBE, MAYBE), (MAYBE, MAYBE), (NO, YES), (NO, NO), (NO, NO), (NO, None)]
    found = label_accuracy(pairs)
    assert found.rows == 8
    assert found.accuracy == 5 / 8
    assert found.confusion == {
        YES: {YES: 1, MAYBE: 0, NO: 1},
        MAYBE: {YES: 0, MAYBE: 2, NO: 0},
        NO: {YES: 1, MAYBE: 0, NO: 2},
    }
    assert found.no_answer == {YES: 0, MAYBE: 0, NO: 1}
    assert found.recall == {YES: 1 / 2, MAYBE: 1.0, NO: 2 / 4}
    assert sum(sum(row.values()) for row in found.confusion.values()) + sum(found.no_answer.values()) == found.rows


def test_always_the_same_answer_is_seen_through() -> None:
    found = label_accuracy([(YES, YES)] * 3 + [(NO, YES)] * 1)
    assert found.accuracy == found.majority_share == 3 / 4
    assert found.recall == {YES: 1.0, MAYBE: None, NO: 0.0}


def test_other_labels_on_request_and_unknown_ones_never() -> None:
    assert label_accuracy([("yes", "no")], labels=("yes", "no")).accuracy == 0.0
    with pytest.raises(ValueError, match="unknown label 'maybe'; labels are entailment, neutral, contradiction"):
        label_accuracy([(YES, "maybe")])
    with pytest.raises(ValueError, match="no row"):
        label_accuracy([])
