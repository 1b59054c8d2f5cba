"""What is asked about an image: the same of every one, or the texts that came with it.

Every image gives at least one query, so that none vanishes: where there is nothing to ask the query says why.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mue_model.model_folder import ModelFacts, ModelFolderError
from mue_model.model_names import model_facts
from mue_model.queries import Query, QueryError, make_query
from pipeline.blocks import most_queries
from pipeline.records import ErrorCode, ErrorStage, RowStatus
from pipeline.row_field import Entry, RowField


@dataclass(frozen=True, kw_only=True)
class OnePrompt:
    """Every image is asked the same."""

    prompt: str
    prompt_ids: tuple[int, ...]
    """With bos and eos."""

    def of(self, image: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the query about `image` as a value of `records.QUERY`."""
        return [_good(0, Query(self.prompt, self.prompt_ids))]


@dataclass(frozen=True, kw_only=True)
class OwnTexts:
    """Each image is asked what came with it. Small where it is pickled: the tokenizer is looked up by name."""

    task: str
    field: RowField
    model: str
    digest: str
    """Of the model, so that no other is found under its name."""
    max_queries: int
    """Most queries about one image."""
    answer_bytes: int
    """Bytes that an answer may have."""

    def of(self, image: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the queries about `image` as values of `records.QUERY`; a text that is none fails alone.

        Args:
            image: Its `key`, `shard_uri` and `meta_json`.
        """
        entries = self.field.entries(json.loads(image["meta_json"] or "{}"))
        if not entries:
            message = f"{self.field.text}: an empty list, so nothing is asked about this image"
            return [{"query": 0, "status": RowStatus.FILTERED, "error_message": message}]
        most = most_queries(image["key"], image["shard_uri"], answer_bytes=self.answer_bytes)
        if len(entries) > min(most, self.max_queries):
            limit = f"inputs.max_queries = {self.max_queries}" if self.max_queries <= most else f"{most:,} have room"
            return [_failed(0, "bad_field", f"{self.field.text}: {len(entries):,} queries about one image; {limit}")]
        return [self._query(number, entry) for number, entry in enumerate(entries)]

    def _query(self, number: int, entry: Entry) -> dict[str, Any]:
        if entry.problem is not None:
            return _failed(number, "bad_field", f"{self.field.text}: {entry.problem}")
        facts = _facts(self.model, self.digest)
        longest = facts.config.max_position_embeddings
        try:
            return _good(number, make_query(self.task, entry.value, facts.processor.tokenizer, longest=longest))
        except QueryError as error:
            return _failed(number, error.code, f"{self.field.text}: {error.message}", error.prompt)


@lru_cache(maxsize=1)
def _facts(model: str, digest: str) -> ModelFacts:
    facts = model_facts(model)
    if facts.digest != digest:
        raise ModelFolderError(f"model '{model}' has digest {facts.digest} on this node, the plan says {digest}")
    return facts


def _good(number: int, query: Query) -> dict[str, Any]:
    return {
        "query": number,
        "prompt": query.prompt,
        "prompt_ids": query.prompt_ids,
        "candidates": [{"label": candidate.label, "ids": candidate.ids} for candidate in query.candidates],
        "status": RowStatus.OK,
    }


def _failed(number: int, code: str, message: str, prompt: str | None = None) -> dict[str, Any]:
    return {
        "query": number,
        "prompt": prompt,
        "status": RowStatus.FAILED,
        "error_stage": ErrorStage.PREPROCESS,
        "error_code": ErrorCode(code),
        "error_message": message,
    }
