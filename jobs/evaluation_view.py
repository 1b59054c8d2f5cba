"""An `Evaluation` as tables for people and as plain values for programs; both say the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from jobs.evaluation import Depths, Evaluation
from jobs.terminal import pairs_table, printable
from mue_model.metrics.captions import CaptionScores

SCHEMA_VERSION = 1
_TOKENISERS = {
    "tokenise": "lower case, words as PTB has them, no punctuation",
    "pre_tokenised": "split at white space, else unchanged",
}


def evaluation_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return every fact of the tables, exact, ready for JSON."""
    rows = {"committed": sum(evaluation.rows.values()), **evaluation.rows}
    rows["with_repeated_key"] = evaluation.rows_with_repeated_key
    references = {
        **evaluation.references,
        "texts_scored": evaluation.references_scored,
        "sha256": evaluation.references_sha256,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "output": evaluation.output,
        "fingerprint": evaluation.fingerprint,
        "manifest_sha256": evaluation.manifest_sha256,
        "model": {"name": evaluation.model.name, "untrained": evaluation.model.untrained},
        "rows": rows,
        "shards_bad": evaluation.shards_bad,
        "references": references,
        "tokeniser": evaluation.tokeniser,
        "scores": score_facts(evaluation.scores),
        "health": asdict(evaluation.health),
        "mean_layers": depth_facts(evaluation.depths),
        "by": evaluation.by,
        "groups": [
            {
                "group": group.name,
                "rows": group.depths.rows,
                "scores": score_facts(group.scores) if group.scores else None,
                "mean_layers": depth_facts(group.depths),
            }
            for group in evaluation.groups
        ],
        "notes": notes(evaluation),
    }


def notes(evaluation: Evaluation) -> list[str]:
    """Return what a reader of the scores must know."""
    rows, found = evaluation.rows, []
    if evaluation.model.untrained and evaluation.model.caveat:
        found.append(evaluation.model.caveat)
    if evaluation.manifest_sha256 is None:
        found.append("the job is not finished: these are the scores of the rows committed so far")
    if evaluation.scores.rows == 1:
        found.append("one row was scored: CIDEr-D of a single row is 0 by definition, whatever its caption")
    if left := rows["failed"] + rows["filtered"]:
        found.append(f"{left:,} rows failed or were filtered: they have no caption and are in no score")
    if evaluation.shards_bad:
        found.append(f"{evaluation.shards_bad:,} shards could not be read whole: what they lack is in no count")
    if rows["without_references"]:
        found.append(f"{rows['without_references']:,} rows have no references: they are in no score")
    if rows["ambiguous_key"]:
        found.append(
            f"{rows['ambiguous_key']:,} rows have a key that several images have: not scored; name them by uid"
        )
    if unused := evaluation.references.get("names_without_row"):
        found.append(f"{unused:,} names in {evaluation.references['source']} are of no row with a caption")
    return found


def evaluation_view(evaluation: Evaluation) -> Stack:
    """Return the evaluation for people; a table of groups follows where rows were told apart."""
    parts: list[Any] = [pairs_table(_lines(evaluation))]
    if evaluation.by is not None:
        parts += [Text(), _group_table(evaluation)]
    return Stack(*parts)


def _lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    scores, health, rows = evaluation.scores, evaluation.health, evaluation.rows
    parts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items() if count)
    per_row = evaluation.references_scored / scores.rows
    source = " and ".join(evaluation.references.get("rows_by_field", ())) or evaluation.references["source"]
    model = evaluation.model
    lines = [
        ("job", evaluation.output),
        ("model", f"'{model.name}' is untrained: texts mean nothing" if model.untrained else model.name),
        ("rows", f"{sum(rows.values()):,}: {parts}"),
    ]
    if evaluation.rows_with_repeated_key:
        lines.append(("rows with repeated key", f"{evaluation.rows_with_repeated_key:,}"))
    lines += [
        ("references", f"{source}, {per_row:.1f} a row"),
        ("words", _TOKENISERS.get(evaluation.tokeniser, evaluation.tokeniser)),
        ("CIDEr-D", f"{scores.cider_d:.4f}, of 10; rarity over all {scores.rows:,} scored rows"),
        ("BLEU-1..4", "  ".join(f"{value:.4f}" for value in scores.bleu)),
        ("ROUGE-L", f"{scores.rouge_l:.4f}"),
        ("exact match", f"{percent(scores.exact_match)} say one of their references word for word"),
        ("empty captions", _of(health.empty, health.captions)),
        ("cut by length limit", _of(health.truncated, health.captions)),
        ("repeating themselves", _of(health.repeating, health.captions)),
        ("duplicates", f"{percent(health.duplicate_rate)}; {health.distinct:,} captions are distinct"),
        ("commonest caption", f"{health.commonest_rows:,} x '{health.commonest}'"),
        (
            "words a caption",
            f"{health.length_mean:.1f} on average, {health.length_min} to {health.length_max}, "
            f"median {health.length_median}, 95 % up to {health.length_p95}",
        ),
    ]
    for name, mean in depth_facts(evaluation.depths).items():
        limit = model.decoder_layers if name == "decoder" else model.encoder_layers
        unit = " per token" if name == "decoder" else ""
        lines.append((f"mean layers, {name}", f"{number(mean)}" + (f" of {limit}" if limit else "") + unit))
    return lines


def _group_table(evaluation: Evaluation) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(printable(str(evaluation.by))), no_wrap=True)
    heads = ["rows", "scored", "CIDEr-D", "BLEU-4", "ROUGE-L", "exact", "image layers", "text layers", "decoder layers"]
    for head in heads:
        table.add_column(head, justify="right")
    for group in evaluation.groups:
        scores, depths = group.scores, depth_facts(group.depths)
        quality = ["-"] * 4
        if scores is not None:
            quality = [f"{value:.3f}" for value in (scores.cider_d, scores.bleu[3], scores.rouge_l)]
            quality.append(percent(scores.exact_match))
        counts = [f"{group.depths.rows:,}", f"{scores.rows if scores else 0:,}"]
        layers = [number(mean) for mean in depths.values()]
        table.add_row(Text(printable(group.name)), *counts, *quality, *layers)
    return table


def score_facts(scores: CaptionScores) -> dict[str, Any]:
    """Return the scores, ready for JSON."""
    bleu = {f"bleu_{n}": value for n, value in enumerate(scores.bleu, start=1)}
    return {
        "rows": scores.rows,
        "cider_d": scores.cider_d,
        **bleu,
        "rouge_l": scores.rouge_l,
        "exact_match": scores.exact_match,
    }


def depth_facts(depths: Depths) -> dict[str, float | None]:
    """Return the mean layers by stream."""
    return {name: depths.mean(f"{name}_layers_run") for name in ("image", "text", "decoder")}


def _of(count: int, total: int) -> str:
    return f"{count:,} ({percent(count / total)})"


def number(mean: float | None) -> str:
    """Return a mean in words."""
    return "-" if mean is None else f"{mean:.2f}"


def percent(share: float) -> str:
    """Return a share in words."""
    return f"{100 * share:.1f} %"
