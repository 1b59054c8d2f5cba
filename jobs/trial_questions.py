"""Labelled shards as questions for a model: an image with its captions, or with each of its hypotheses.

Shards are read by the same strict reader and decoded by the same code as in a job, so a row means the same here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from mue_model.config import ConfigError
from mue_model.entailment import entailment_candidates, entailment_prompt_ids, hypotheses_of
from mue_model.processor import Processor
from mue_model.rows import RowInput
from pipeline.plan import plan_shards
from pipeline.preprocess import DecodeRows
from pipeline.records import RowStatus
from pipeline.shard_rows import iter_tables
from pipeline.shard_urls import expand_urls
from pipeline.spec import FieldsConfig

TrialTask = Literal["caption", "entailment"]
_MAX_MEMBER_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Question:
    """One query about one image, with what is right."""

    row: RowInput
    key: str
    members: dict[str, Any]
    """What came with the image."""
    label: str | None
    """The right label of a hypothesis; None for captions, whose references are among `members`."""


class Questions:
    """Reads the questions of one task out of shards, as often as it is iterated."""

    def __init__(
        self, urls: Sequence[str], processor: Processor, task: TrialTask, *, limit: int | None, blind: bool = False
    ) -> None:
        """Find the shards.

        Args:
            urls: As for `mue run`.
            processor: Of the model that is asked.
            task: One question for each image, or one for each of its hypotheses (`ve` in the JSON member).
            limit: Images that are read, the first ones; None for all.
            blind: Show a grey picture instead of the image: what can be answered from the text alone?

        Raises:
            PlanError: A shard is missing or given twice.
        """
        self._shards = plan_shards(expand_urls(list(urls)))
        self._decode = DecodeRows.from_processor(processor)
        self._tokenizer, self._size = processor.tokenizer, processor.image_size
        self._task, self._limit, self._blind = task, limit, blind
        self.skipped = 0
        """Images that could not be read, so far; they are in no score."""

    def __iter__(self) -> Iterator[Question]:
        """Yield the questions in order; raise `ConfigError` where a hypothesis is none."""
        self.skipped = 0
        for row, pixels in islice(self._images(), self._limit):
            if row["status"] != RowStatus.OK:
                self.skipped += 1
                continue
            members = json.loads(row["meta_json"] or "{}")
            shown = np.full_like(pixels, 128) if self._blind else pixels
            yield from self._about(row, members, shown)

    def _images(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        suffixes = FieldsConfig().image_suffixes
        for shard in self._shards:
            tables = iter_tables(
                shard.url,
                shard.shard_id,
                suffixes=suffixes,
                max_member_bytes=_MAX_MEMBER_BYTES,
                files=shard.files,
            )
            for table in map(self._decode, tables):
                small = table.select(["uid", "key", "status", "meta_json"]).to_pylist()
                for row, pixels in zip(small, table["pixels"], strict=True):
                    if row["uid"] is not None:
                        flat = np.frombuffer(pixels.as_buffer(), np.uint8)
                        yield row, flat.reshape(self._size, self._size, 3)

    def _about(self, row: dict[str, Any], members: dict[str, Any], pixels: np.ndarray) -> Iterator[Question]:
        if self._task == "caption":
            asked = RowInput(uid=row["uid"], pixels=pixels, prompt_ids=self._decode.prompt_ids)
            yield Question(row=asked, key=row["key"], members=members, label=None)
            return
        for number, (hypothesis, label) in enumerate(_hypotheses(row["uid"], members)):
            asked = RowInput(
                uid=f"{row['uid'].rpartition('/')[0]}/{number}",
                pixels=pixels,
                prompt_ids=entailment_prompt_ids(self._tokenizer, hypothesis),
                task=self._task,
                candidates=entailment_candidates(self._tokenizer),
                image_key=row["uid"],
            )
            yield Question(row=asked, key=row["key"], members=members, label=label)


def _hypotheses(uid: str, members: dict[str, Any]) -> list[tuple[str, str]]:
    facts = members.get("json")
    try:
        return list(hypotheses_of(facts.get("ve", []) if isinstance(facts, dict) else []))
    except ValueError as error:
        raise ConfigError(f"row {uid}: {error}") from error
