"""What the answers of a job are worth: entailment and VQA against the labels that came with the images.

Every committed row is in exactly one count: scored, unanswered (scored as wrong), without a label, failed before the
model saw it, or filtered.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from jobs.answer_scores import AnswerScorer, AnswerScores, expected, usable
from jobs.evaluation import refuse_overlaps
from jobs.evaluation_rows import NO_GROUP, Depths, group_name, group_order
from jobs.gold import Gold
from jobs.job_folder import PlannedModel, planned_model, planned_task
from jobs.row_texts import described
from mue_model.config import ConfigError
from mue_model.metrics.health import Health, HealthReport
from mue_model.metrics.tokenisation import tokenise
from pipeline.canonical_json import digest_of
from pipeline.ledger import MANIFEST, Ledger
from pipeline.records import ErrorStage, RowStatus
from pipeline.row_field import RowField
from pipeline.shared_meta import with_meta_json

MAX_GROUPS = 1000
_LAYERS = ["image_layers_run", "text_layers_run", "decoder_layers_run"]
_COLUMNS = ["uid", "query", "status", "error_stage", "text", "label", "finish_reason", *_LAYERS, "meta_json"]


@dataclass(frozen=True, kw_only=True)
class AnswerGroup:
    """The rows that share one value of the field given as `--by`."""

    name: str
    scores: AnswerScores | None
    """None where no row of the group has a label."""
    depths: Depths


@dataclass(frozen=True, kw_only=True)
class AnswerEvaluation:
    """Everything `mue eval` says about a job that answers."""

    output: str
    fingerprint: str
    manifest_sha256: str | None
    """None while the job is not finished."""
    model: PlannedModel
    task: str
    label: str
    """The field that says what is right."""
    rows: dict[str, int]
    """Committed rows by what became of them here; they add up to all committed rows."""
    shards_bad: int
    """Shards that could not be read whole: what they lack is in no count."""
    scores: AnswerScores
    health: HealthReport | None
    """Of generated answers; None where they are chosen."""
    depths: Depths
    by: str | None
    groups: list[AnswerGroup]


def evaluate_answers(ledger: Ledger, *, label: str | None = None, by: RowField | None = None) -> AnswerEvaluation:
    """Score the committed answers of a job, finished or not.

    Args:
        ledger: The job.
        label: Where labels are, instead of where the job says.
        by: Rows are also told apart by the value they have there.

    Raises:
        ConfigError: The job does not say where labels are, no row could be scored, or `by` leads nowhere or to too
            many values.
        LedgerError: Rows are committed twice at the moment.
    """
    refuse_overlaps(ledger)
    plan = ledger.plan()
    task = planned_task(plan)
    label = label or plan.fields.label
    if label is None:
        raise ConfigError(
            f"{ledger.storage.url}: the job has no inputs.fields.label, so nothing says what is right; name the field, "
            "as in --label 'json:ve[*].label'"
        )
    tally = _Tally(task, Gold(RowField.parse(label, option="inputs.fields.label"), plan.fields.asked(task)), by)
    for part in ledger.read_live(_COLUMNS):
        for batch in with_meta_json(part).to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                tally.add(row)
    return AnswerEvaluation(
        output=ledger.storage.url,
        fingerprint=plan.fingerprint,
        manifest_sha256=digest_of(ledger.storage.read(MANIFEST)) if ledger.storage.exists(MANIFEST) else None,
        model=planned_model(plan),
        task=task,
        label=label,
        rows=dict(tally.rows),
        shards_bad=len(ledger.failure_entries()),
        scores=tally.scores(ledger.storage.url),
        health=tally.health.report(),
        depths=tally.depths,
        by=by.text if by else None,
        groups=tally.groups(),
    )


class _Tally:
    """Takes the rows one by one."""

    def __init__(self, task: str, gold: Gold, by: RowField | None) -> None:
        self.rows = Counter(dict.fromkeys(("scored", "unanswered", "without_label", "failed", "filtered"), 0))
        self.depths = Depths()
        self.health = Health()
        self._task, self._gold, self._by = task, gold, by
        self._scorer = AnswerScorer(task)
        self._groups: dict[str, Depths] = {}
        self._last: tuple[str | None, dict[str, Any]] = (None, {})
        self._example: tuple[dict[str, Any], list[Any]] | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Count one row under what becomes of it."""
        is_ok = row["status"] == RowStatus.OK
        if not is_ok and row["error_stage"] != ErrorStage.INFER:
            self.rows[row["status"]] += 1
            return
        members = self._members_of(row["meta_json"])
        group = self._group_of(members)
        if is_ok:
            self.depths.add(row)
            if self._by is not None:
                self._groups[group].add(row)
            if self._task == "vqa":
                self.health.add(tokenise(row["text"] or ""), truncated=row["finish_reason"] == "length")
        gold = self._gold.of(members, row["query"])
        if not usable(self._task, gold):
            self.rows["without_label"] += 1
            self._example = self._example or (members, gold)
            return
        self.rows["scored" if is_ok else "unanswered"] += 1
        self._scorer.add(gold, label=row["label"], text=row["text"] if is_ok else None, group=group)

    def scores(self, output: str) -> AnswerScores:
        """Return the scores of all rows, or raise `ConfigError` saying why there are none."""
        scores = self._scorer.scores()
        if scores is None and self._example is None:
            others = ", ".join(f"{count:,} {name}" for name, count in self.rows.items() if count)
            raise ConfigError(f"{output}: no row with an answer yet ({others or 'nothing is committed'})")
        if scores is None:
            members, gold = self._example or ({}, [])
            raise ConfigError(
                f"{output}: no label found in {self.rows['without_label']:,} rows: the first has {gold or 'nothing'} "
                f"at {self._gold.label.text}, expected {expected(self._task)}. Fields of a row: {described(members)}. "
                "Name one with --label, as in --label 'json:ve[*].label'"
            )
        if self._by is not None and set(self._groups) == {NO_GROUP}:
            raise ConfigError(f"--by '{self._by.text}': no row has that field")
        return scores

    def groups(self) -> list[AnswerGroup]:
        """Return the groups in order of their values, numbers as numbers."""
        scores = self._scorer.scores_by_group()
        return [
            AnswerGroup(name=name, scores=scores.get(name), depths=self._groups[name])
            for name in sorted(self._groups, key=group_order)
        ]

    def _members_of(self, meta_json: str | None) -> dict[str, Any]:
        """Parse what came with an image once for all its queries, which follow each other."""
        if meta_json != self._last[0]:
            self._last = meta_json, json.loads(meta_json or "{}")
        return self._last[1]

    def _group_of(self, members: dict[str, Any]) -> str:
        if self._by is None:
            return ""
        name = group_name(self._by, members)
        if name not in self._groups:
            if len(self._groups) >= MAX_GROUPS:
                raise ConfigError(
                    f"--by '{self._by.text}': more than {MAX_GROUPS:,} different values; choose a field that has few"
                )
            self._groups[name] = Depths()
        return name
