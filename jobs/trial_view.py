"""A `Trial` as tables for people and as plain values for programs; both say the same."""

from __future__ import annotations

from typing import Any

from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from jobs.answer_view import answer_facts, answer_lines, confusion_table
from jobs.evaluation_view import depth_facts, number, percent, score_facts
from jobs.terminal import pairs_table, printable
from jobs.trial import Trial, TrialScores
from mue_model.config import ExitConfig
from mue_model.metrics.entailment import LabelAccuracy
from mue_model.metrics.vqa import VqaScores
from mue_model.model_folder import ModelFacts

SCHEMA_VERSION = 1


def trial_facts(trial: Trial, facts: ModelFacts, exits: ExitConfig, *, blind: bool) -> dict[str, Any]:
    """Return every fact of the tables, exact, ready for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {"name": facts.name, "digest": facts.digest, "untrained": facts.untrained},
        "exits": exits.model_dump(mode="json"),
        "blind": blind,
        "model_s": trial.model_s,
        "rows_failed": trial.failed,
        "rows_without_references": trial.without_references,
        "all": _facts(trial.all),
        "groups": [{"group": name, **_facts(scores)} for name, scores in trial.groups.items()],
    }


def trial_view(trial: Trial, facts: ModelFacts, *, by: str | None, blind: bool) -> Stack:
    """Return the trial for people; tables of groups and of the confusion of labels follow where there are any."""
    scores = trial.all
    lines = [("model", f"'{facts.name}' is untrained: texts mean nothing" if facts.untrained else facts.name)]
    if blind:
        lines.append(("shown", "a grey picture instead of every image"))
    lines.append(("rows", f"{scores.rows:,}" + (f", {trial.failed:,} more failed" if trial.failed else "")))
    if trial.without_references:
        lines.append(("without references", f"{trial.without_references:,}: in no score"))
    lines += _quality(scores)
    for stream, mean in depth_facts(scores.depths).items():
        limit = facts.config.decoder_layers if stream == "decoder" else facts.config.encoder_layers
        lines.append((f"mean layers, {stream}", f"{number(mean)} of {limit}"))
    lines += [
        ("FLOPs executed", f"{percent(scores.executed_share)} of full depth at the same length"),
        ("model time", f"{trial.model_s:.1f} s, {scores.rows / trial.model_s:,.1f} rows/s; no saving is claimed"),
    ]
    parts: list[Any] = [pairs_table(lines)]
    if trial.groups:
        parts += [Text(), _group_table(trial, str(by))]
    if isinstance(scores.answers, LabelAccuracy):
        parts += [Text(), confusion_table(scores.answers)]
    return Stack(*parts)


def _quality(scores: TrialScores) -> list[tuple[str, str]]:
    lines = []
    if scores.captions:
        captions = scores.captions
        lines += [
            ("exact match", f"{percent(captions.exact_match)} say one of their references word for word"),
            ("CIDEr-D", f"{captions.cider_d:.4f}, of 10"),
            ("BLEU-1..4", "  ".join(f"{value:.4f}" for value in captions.bleu)),
            ("ROUGE-L", f"{captions.rouge_l:.4f}"),
        ]
    return lines + (answer_lines(scores.answers) if scores.answers else [])


def _group_table(trial: Trial, by: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(printable(by)), no_wrap=True)
    quality = ["exact", "CIDEr-D"] if trial.all.captions else ["accuracy"]
    for head in ["rows", *quality, "image layers", "text layers", "decoder layers", "FLOPs"]:
        table.add_column(head, justify="right")
    for name, scores in trial.groups.items():
        cells = ["-"] * len(quality)
        if scores.captions:
            cells = [percent(scores.captions.exact_match), f"{scores.captions.cider_d:.3f}"]
        elif scores.answers:
            cells = [percent(scores.answers.accuracy)]
        layers = [number(mean) for mean in depth_facts(scores.depths).values()]
        share = percent(scores.executed_share)
        table.add_row(Text(printable(name)), f"{scores.rows:,}", *cells, *layers, share)
    return table


def _facts(scores: TrialScores) -> dict[str, Any]:
    return {
        "rows": scores.rows,
        "captions": score_facts(scores.captions) if scores.captions else None,
        "labels": answer_facts(scores.answers) if isinstance(scores.answers, LabelAccuracy) else None,
        "vqa": answer_facts(scores.answers) if isinstance(scores.answers, VqaScores) else None,
        "mean_layers": depth_facts(scores.depths),
        "flops_executed": scores.flops_executed,
        "flops_full_same_length": scores.flops_full_same_length,
    }
