"""An `AnswerEvaluation` as tables for people and as plain values for programs; both say the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from jobs.answer_evaluation import AnswerEvaluation
from jobs.answer_view import answer_facts, answer_lines, confusion_table
from jobs.evaluation_view import depth_facts, number, percent
from jobs.terminal import pairs_table, printable
from mue_model.metrics.entailment import LabelAccuracy

SCHEMA_VERSION = 1


def answer_evaluation_facts(evaluation: AnswerEvaluation) -> dict[str, Any]:
    """Return every fact of the tables, exact, ready for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "output": evaluation.output,
        "fingerprint": evaluation.fingerprint,
        "manifest_sha256": evaluation.manifest_sha256,
        "model": {"name": evaluation.model.name, "untrained": evaluation.model.untrained},
        "task": evaluation.task,
        "label": evaluation.label,
        "rows": {"committed": sum(evaluation.rows.values()), **evaluation.rows},
        "shards_bad": evaluation.shards_bad,
        "scores": answer_facts(evaluation.scores),
        "health": asdict(evaluation.health) if evaluation.health else None,
        "mean_layers": depth_facts(evaluation.depths),
        "by": evaluation.by,
        "groups": [
            {
                "group": group.name,
                "rows": group.depths.rows,
                "scores": answer_facts(group.scores),
                "mean_layers": depth_facts(group.depths),
            }
            for group in evaluation.groups
        ],
        "notes": answer_notes(evaluation),
    }


def answer_notes(evaluation: AnswerEvaluation) -> list[str]:
    """Return what a reader of the scores must know."""
    rows, found = evaluation.rows, []
    if evaluation.model.untrained and evaluation.model.caveat:
        found.append(evaluation.model.caveat)
    if evaluation.manifest_sha256 is None:
        found.append("the job is not finished: these are the scores of the rows committed so far")
    if left := rows["failed"] + rows["filtered"]:
        found.append(f"{left:,} rows failed before they were asked, or were filtered: they are in no score")
    if evaluation.shards_bad:
        found.append(f"{evaluation.shards_bad:,} shards could not be read whole: what they lack is in no count")
    if rows["without_label"]:
        found.append(f"{rows['without_label']:,} rows have no label at {evaluation.label}: they are in no score")
    return found


def answer_evaluation_view(evaluation: AnswerEvaluation) -> Stack:
    """Return the evaluation for people; tables of groups and of the confusion of labels follow where there are any."""
    parts: list[Any] = [pairs_table(_lines(evaluation))]
    if evaluation.by is not None:
        parts += [Text(), _group_table(evaluation)]
    if isinstance(evaluation.scores, LabelAccuracy):
        parts += [Text(), confusion_table(evaluation.scores)]
    return Stack(*parts)


def _lines(evaluation: AnswerEvaluation) -> list[tuple[str, str]]:
    model, rows, health = evaluation.model, evaluation.rows, evaluation.health
    parts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items() if count)
    lines = [
        ("job", evaluation.output),
        ("model", f"'{model.name}' is untrained: texts mean nothing" if model.untrained else model.name),
        ("task", f"{evaluation.task}; labels at {evaluation.label}"),
        ("rows", f"{sum(rows.values()):,}: {parts}"),
        *answer_lines(evaluation.scores),
    ]
    if health is not None:
        commonest = f"{health.commonest_rows:,} x '{health.commonest}'; {health.distinct:,} answers are distinct"
        lines += [
            ("empty answers", f"{health.empty:,} ({percent(health.empty / health.captions)})"),
            ("cut by length limit", f"{health.truncated:,} ({percent(health.truncated / health.captions)})"),
            ("commonest answer", commonest),
        ]
    for name, mean in depth_facts(evaluation.depths).items():
        limit = model.decoder_layers if name == "decoder" else model.encoder_layers
        lines.append((f"mean layers, {name}", number(mean) + (f" of {limit}" if limit else "")))
    return lines


def _group_table(evaluation: AnswerEvaluation) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(printable(str(evaluation.by))), no_wrap=True)
    for head in ["answered", "scored", "accuracy", "image layers", "text layers", "decoder layers"]:
        table.add_column(head, justify="right")
    for group in evaluation.groups:
        quality = ["0", "-"] if group.scores is None else [f"{group.scores.rows:,}", percent(group.scores.accuracy)]
        layers = [number(mean) for mean in depth_facts(group.depths).values()]
        table.add_row(Text(printable(group.name)), f"{group.depths.rows:,}", *quality, *layers)
    return table
