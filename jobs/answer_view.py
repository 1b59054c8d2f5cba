"""`AnswerScores` as lines and tables for people and as plain values for programs; both say the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from jobs.answer_scores import AnswerScores
from jobs.evaluation_view import percent
from mue_model.metrics.entailment import LabelAccuracy


def answer_lines(scores: AnswerScores) -> list[tuple[str, str]]:
    """Return the scores in words."""
    if isinstance(scores, LabelAccuracy):
        majority = percent(scores.majority_share)
        lines = [("accuracy", f"{percent(scores.accuracy)}; always the commonest label: {majority}")]
        no_answer = sum(scores.no_answer.values())
    else:
        lines = [("soft accuracy", f"{percent(scores.accuracy)}: an answer is right as far as three people gave it")]
        no_answer = scores.no_answer
    if no_answer:
        lines.append(("without an answer", f"{no_answer:,}: they count as wrong"))
    return lines


def answer_facts(scores: AnswerScores | None) -> dict[str, Any] | None:
    """Return the scores, ready for JSON."""
    return None if scores is None else asdict(scores)


def confusion_table(found: LabelAccuracy) -> Table:
    """Return which label was answered for which, and the share that was right."""
    table = Table(box=None, pad_edge=False)
    table.add_column("is, answered")
    for label in (*found.labels, "right"):
        table.add_column(label, justify="right")
    for label in found.labels:
        recall = found.recall[label]
        counts = [f"{found.confusion[label][answered]:,}" for answered in found.labels]
        table.add_row(label, *counts, "-" if recall is None else percent(recall))
    return table
