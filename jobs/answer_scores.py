"""Scores of answers that are right or wrong: accuracy of labels for entailment, soft accuracy for VQA; by group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from jobs.row_texts import texts_in
from mue_model.metrics.entailment import LABELS, LabelAccuracy, label_accuracy
from mue_model.metrics.vqa import VqaScores, VqaTally

AnswerScores = LabelAccuracy | VqaScores


def expected(task: str) -> str:
    """Return in words what may stand at `inputs.fields.label`."""
    return f"one of {', '.join(LABELS)}" if task == "entailment" else "an answer or a list of answers"


def usable(task: str, gold: Sequence[Any]) -> bool:
    """Return whether `gold` says what is right."""
    if task == "entailment":
        return len(gold) == 1 and isinstance(gold[0], str) and gold[0] in LABELS
    return bool(texts_in(list(gold)))


class AnswerScorer:
    """Takes the answers of one task one by one."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._labels: defaultdict[str, Counter[tuple[str, str | None]]] = defaultdict(Counter)
        self._answers: defaultdict[str, VqaTally] = defaultdict(VqaTally)
        self._all = VqaTally()

    def add(self, gold: Sequence[Any], *, label: str | None, text: str | None, group: str) -> None:
        """Count an answer against what is right, which must be `usable`; None for no answer."""
        if self._task == "entailment":
            self._labels[group][gold[0], label] += 1
            return
        people = texts_in(list(gold))
        self._all.add(text, people)
        self._answers[group].add(text, people)

    def scores(self) -> AnswerScores | None:
        """Return the scores of all answers together; None before the first."""
        if self._labels:
            pairs: Counter[tuple[str, str | None]] = Counter()
            for counts in self._labels.values():
                pairs.update(counts)
            return label_accuracy(pairs.elements())
        return self._all.scores() if self._answers else None

    def scores_by_group(self) -> dict[str, AnswerScores]:
        """Return the scores of each group that has answers."""
        found: dict[str, AnswerScores] = {
            group: label_accuracy(pairs.elements()) for group, pairs in self._labels.items()
        }
        return found | {group: tally.scores() for group, tally in self._answers.items()}
