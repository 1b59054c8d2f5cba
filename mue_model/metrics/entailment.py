"""Accuracy over labels (entailment, SNLI-VE, arXiv 1901.06706) with everything needed to judge it.

An accuracy alone hides a model that always says the same: the confusion matrix and the share of the commonest gold
label stand beside it. A row without an answer counts as wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LABELS = ("entailment", "neutral", "contradiction")
NO_ANSWER = None


@dataclass(frozen=True, kw_only=True)
class LabelAccuracy:
    """Accuracy and confusion of one set of rows."""

    rows: int
    accuracy: float
    majority_share: float
    """Accuracy of always saying the commonest gold label."""
    labels: tuple[str, ...]
    confusion: dict[str, dict[str, int]]
    """Rows by gold label, then by the label answered; every combination is there."""
    no_answer: dict[str, int]
    """Rows without an answer, by gold label; they count as wrong."""

    @property
    def recall(self) -> dict[str, float | None]:
        """Share of each gold label's rows that was answered right; None where there are no such rows."""
        totals = {gold: sum(row.values()) + self.no_answer[gold] for gold, row in self.confusion.items()}
        return {gold: self.confusion[gold][gold] / total if total else None for gold, total in totals.items()}


def label_accuracy(pairs: Iterable[tuple[str, str | None]], labels: Sequence[str] = LABELS) -> LabelAccuracy:
    """Return the accuracy over `(gold, answered)` pairs.

    Args:
        pairs: Gold label and answered label of each row; None stands for no answer.
        labels: All labels there are.

    Raises:
        ValueError: There is no row, or a label is none of `labels`.
    """
    counts = Counter(pairs)
    unknown = {label for pair in counts for label in pair if label is not NO_ANSWER} - set(labels)
    if unknown:
        raise ValueError(f"unknown label {sorted(unknown)[0]!r}; labels are {', '.join(labels)}")
    rows = counts.total()
    if not rows:
        raise ValueError("no row to compute an accuracy of")
    gold_rows = Counter[str]()
    for (gold, _), count in counts.items():
        gold_rows[gold] += count
    return LabelAccuracy(
        rows=rows,
        accuracy=sum(counts[label, label] for label in labels) / rows,
        majority_share=max(gold_rows.values()) / rows,
        labels=tuple(labels),
        confusion={gold: {label: counts[gold, label] for label in labels} for gold in labels},
        no_answer={gold: counts[gold, NO_ANSWER] for gold in labels},
    )
