"""What becomes of each committed row in an evaluation: exactly one count, its words, its layers, its group."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobs.references import AmbiguousKey, References
from jobs.row_texts import described
from mue_model.config import ConfigError
from mue_model.metrics.captions import CaptionScorer, CaptionScores
from mue_model.metrics.health import Health, HealthReport
from pipeline.records import RowStatus
from pipeline.row_field import RowField

NO_GROUP = "(none)"
"""Rows that have nothing at the field they are told apart by."""
MAX_GROUPS = 1000
_LAYERS = ["image_layers_run", "text_layers_run", "decoder_layers_run"]
COLUMNS = ["uid", "query", "key", "task", "status", "text", "finish_reason", *_LAYERS, "meta_json"]
"""What `Tally.add` reads."""


@dataclass
class Depths:
    """Layers run by the rows of one group that have status `ok`, scored or not."""

    rows: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, row: dict[str, Any]) -> None:
        """Count one row."""
        self.rows += 1
        for name in _LAYERS:
            value = row[name]
            steps = value if isinstance(value, list) else [] if value is None else [value]
            self.sums[name] += sum(steps)
            self.counts[name] += len(steps)

    def merge(self, other: Depths) -> None:
        """Count the rows of another group too."""
        self.rows += other.rows
        self.sums += other.sums
        self.counts += other.counts

    def mean(self, name: str) -> float | None:
        """Return the mean over rows, of decoder layers over all decoding steps; None where nothing ran."""
        return self.sums[name] / self.counts[name] if self.counts[name] else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows that share one value of the field given as `--by`."""

    name: str
    scores: CaptionScores | None
    """None where no row of the group has references."""
    depths: Depths


def group_name(by: RowField, members: dict[str, Any]) -> str:
    """Return the group of a row: what it has at the field `by`, in words."""
    values = by.values(members)
    return ", ".join(value if isinstance(value, str) else json.dumps(value) for value in values) or NO_GROUP


def group_order(name: str) -> tuple[bool, float, str]:
    """Return what groups are sorted by: numbers as numbers, before all else."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


class Tally:
    """Takes the rows one by one and keeps counts, words and a digest of each."""

    def __init__(self, references: References, by: RowField | None, tokeniser: Callable[[str], list[str]]) -> None:
        self.references = references
        self.rows = Counter(dict.fromkeys(("scored", "without_references", "ambiguous_key", "failed", "filtered"), 0))
        self.depths = Depths()
        self.digests: list[bytes] = []
        self.n_references = 0
        self._by = by
        self._words = tokeniser
        self._scorer = CaptionScorer()
        self._health = Health()
        self._groups: dict[str, Depths] = {}
        self._example: dict[str, Any] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Count one row under what becomes of it."""
        if row["status"] != RowStatus.OK:
            self.rows[row["status"]] += 1
            return
        if row["task"] != "caption":
            raise ConfigError(f"row {row['uid']} is of task '{row['task']}'; only captions have references")
        members = json.loads(row["meta_json"] or "{}")
        self._example = self._example or members
        words = self._words(row["text"] or "")
        self._health.add(words, truncated=row["finish_reason"] == "length")
        self.depths.add(row)
        group = self._group_of(members)
        if self._by is not None:
            self._groups.setdefault(group, Depths()).add(row)
        try:
            texts = self.references.of(row["uid"], row["key"], members)
        except AmbiguousKey:
            self.rows["ambiguous_key"] += 1
            return
        if not texts:
            self.rows["without_references"] += 1
            return
        self.rows["scored"] += 1
        self.n_references += len(texts)
        self.digests.append(hashlib.sha256(json.dumps([row["uid"], list(texts)]).encode()).digest())
        self._scorer.add(words, [self._words(text) for text in texts], group=group)

    def results(self, output: str) -> tuple[CaptionScores, HealthReport]:
        """Return the scores and the health, or raise `ConfigError` saying why there are none."""
        health = self._health.report()
        if health is None:
            others = ", ".join(f"{count:,} {name}" for name, count in self.rows.items() if count)
            raise ConfigError(f"{output}: no row with a caption yet ({others or 'nothing is committed'})")
        if self.rows["ambiguous_key"] and not self.rows["scored"]:
            raise ConfigError(
                f"{output}: the keys in {self.references.source} each belong to several images, so they do not say "
                "which is meant; name rows by uid, as 'mue export OUT --format txt' lists them"
            )
        if not self.rows["scored"]:
            raise ConfigError(
                f"{output}: no references found in {health.captions:,} rows: {self.references.missing()}. "
                f"Fields of a row: {described(self._example)}. Name one with --references, as in --references txt, "
                "or give a file: --references FILE.jsonl"
            )
        if self._by is not None and set(self._groups) == {NO_GROUP}:
            raise ConfigError(f"--by '{self._by.text}': no row has that field. Fields: {described(self._example)}")
        return self._scorer.scores(), health

    def groups(self) -> list[Group]:
        """Return the groups in order of their values, numbers as numbers."""
        scores = self._scorer.scores_by_group()
        return [
            Group(name=name, scores=scores.get(name), depths=self._groups[name])
            for name in sorted(self._groups, key=group_order)
        ]

    def _group_of(self, members: dict[str, Any]) -> str:
        if self._by is None:
            return ""
        name = group_name(self._by, members)
        if name not in self._groups and len(self._groups) >= MAX_GROUPS:
            raise ConfigError(
                f"--by '{self._by.text}': more than {MAX_GROUPS:,} different values; choose a field that has few"
            )
        return name
