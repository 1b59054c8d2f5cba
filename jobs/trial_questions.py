"""Labelled shards as questions for a model: an image, or each of the hypotheses or questions that came with it.

Shards are read by the same strict reader and decoded by the same code as in a job, so a row means the same here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from jobs.answer_scores import expected, usable
from jobs.gold import Gold
from jobs.spec import load_spec
from mue_model.config import ConfigError
from mue_model.model_folder import ModelFacts
from mue_model.rows import RowInput
from pipeline.fan_out import query_rows
from pipeline.plan import plan_shards
from pipeline.preprocess import DecodeRows
from pipeline.records import RowStatus
from pipeline.row_field import RowField
from pipeline.shard_rows import iter_tables
from pipeline.shard_urls import expand_urls
from pipeline.spec import JobSpec

TrialTask = Literal["caption", "entailment", "vqa"]
_CORPUS_FIELDS = {
    "caption": (),
    "entailment": ("inputs.fields.hypothesis=json:ve[*].hypothesis", "inputs.fields.label=json:ve[*].label"),
    "vqa": ("inputs.fields.question=json:vqa[*].question", "inputs.fields.label=json:vqa[*].answers"),
}
"""Where the shards of `mue corpus` have what."""


def trial_spec(urls: Sequence[str], task: TrialTask, overrides: Sequence[str] = ()) -> JobSpec:
    """Return the job that a trial stands for; what `overrides` leave open is as in the shards of `mue corpus`.

    Raises:
        ConfigError: On anything wrong in `overrides`.
    """
    return load_spec(None, inputs=urls, output=".", overrides=[f"task={task}", *_CORPUS_FIELDS[task], *overrides])


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query about one image, with what is right."""

    row: RowInput
    key: str
    members: dict[str, Any]
    """What came with the image."""
    gold: list[Any] | None
    """The right label or answers; None for captions, whose references are among `members`."""


class Questions:
    """Reads the questions of a job out of shards, as often as it is iterated."""

    def __init__(self, spec: JobSpec, facts: ModelFacts, *, limit: int | None = None, blind: bool = False) -> None:
        """Find the shards.

        Args:
            spec: Says which shards, which task and where in a row its texts and labels are.
            facts: Of the model that is asked.
            limit: Images that are read, the first ones; None for all.
            blind: Show a grey picture instead of the image: what can be answered from the text alone?

        Raises:
            PlanError: A shard is missing or given twice.
            ConfigError: `spec` does not say where labels are.
        """
        self._inputs, self.task = spec.inputs, spec.task
        self._shards = plan_shards(expand_urls(spec.inputs.urls))
        self._decode = DecodeRows.of_job(spec, facts, spec.generation.resolved(facts.generation))
        self._limit, self._blind = limit, blind
        label, asked = spec.inputs.fields.label, spec.inputs.fields.asked(spec.task)
        if spec.task != "caption" and label is None:
            raise ConfigError(f"task '{spec.task}' is scored by labels; set inputs.fields.label")
        self._gold = Gold(RowField.parse(label), asked) if label is not None and spec.task != "caption" else None
        self.skipped = 0
        """Images that could not be read, so far; they are in no score."""
        self.unasked = 0
        """Queries that could not be asked, so far, of images that could be read; they are in no score."""
        self._first_problem = ""

    def __iter__(self) -> Iterator[Question]:
        """Yield the questions in order; raise `ConfigError` where a label is none, or where there is no question."""
        self.skipped = self.unasked = asked = 0
        for image in islice(self._images(), self._limit):
            for question in self._about(image):
                asked += 1
                yield question
        if self.unasked and not asked:
            raise ConfigError(f"none of {self.unasked:,} queries can be asked; the first: {self._first_problem}")

    def _images(self) -> Iterator[pa.Table]:
        for shard in self._shards:
            tables = iter_tables(
                shard.url,
                shard.shard_id,
                suffixes=self._inputs.fields.image_suffixes,
                max_member_bytes=self._inputs.max_member_mib << 20,
                column=self._inputs.fields.image_column,
                files=shard.files,
            )
            for table in map(self._decode, tables):
                places = (place for place, uid in enumerate(table["uid"].to_pylist()) if uid is not None)
                yield from (table.slice(place, 1) for place in places)

    def _about(self, image: pa.Table) -> Iterator[Question]:
        if image["status"][0].as_py() != RowStatus.OK:
            self.skipped += 1
            return
        key, members = image["key"][0].as_py(), json.loads(image["meta_json"][0].as_py() or "{}")
        for query in query_rows(image, self._decode.image_size):
            if query.asked is None:
                self.unasked += 1
                self._first_problem = self._first_problem or f"{query.columns['uid']}: {query.columns['error_message']}"
                continue
            gold = None
            if self._gold is not None:
                gold = self._gold.of(members, query.columns["query"])
                if not usable(self.task, gold):
                    raise ConfigError(
                        f"row {query.columns['uid']}: {gold or 'nothing'} at {self._gold.label.text}; "
                        f"expected {expected(self.task)}"
                    )
            row = replace(query.asked, pixels=np.full_like(query.asked.pixels, 128)) if self._blind else query.asked
            yield Question(row=row, key=key, members=members, gold=gold)
