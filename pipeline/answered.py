"""From queries and their answers to the table that is committed. Knows no Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mue_model import costs
from mue_model.model_folder import ModelFacts
from mue_model.rows import RowInput, RowResult
from mue_model.tokenizer import Tokenizer
from pipeline.fan_out import QueryRow
from pipeline.records import COMMIT_SCHEMA, REUSED, ErrorCode, ErrorStage, RowStatus

_OF_THE_IMAGE = [
    *("shard_id", "shard_uri", "key", "row_in_shard", "image_sha256", "width", "height", "meta_json"),
    *("shard_total", "shard_state", "shard_code", "shard_message"),
]


def answered_table(
    decoded: pa.Table,
    rows: Sequence[QueryRow],
    results: Sequence[RowResult],
    facts: ModelFacts,
    *,
    attempt: str,
    actor: str,
    shadows: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> pa.Table:
    """Return the rows with their answers as a `COMMIT_SCHEMA` table, in the same order.

    What is stored once for an image, `meta_json` and the times of reading and decoding, is on its first query.

    Args:
        decoded: Where the rows are from.
        rows: All of its rows.
        results: Those of the rows that were asked, in order.
        facts: Of the model that answered.
        attempt: The attempt that they belong to.
        actor: Who answered.
        shadows: What full depth says of some of the rows, by uid.
    """
    answers = iter(results)
    timings = decoded.select(["read_ms", "decode_ms"]).to_pylist()
    found: list[dict[str, Any]] = []
    for row in rows:
        columns = dict(row.columns)
        times = timings[row.place] if columns.get("query") == 0 else {}
        if columns:
            columns |= {"attempts": 1, "attempt_id": attempt, "timings": times}
        if row.asked is not None:
            result = next(answers)
            if result.uid != row.asked.uid:
                raise AssertionError(f"row {row.asked.uid} got the answer of {result.uid}")
            columns |= {"actor": actor, **_answer(row.asked, result, facts)}
            columns["timings"] = times | {"queue_ms": result.queue_ms, "infer_ms": result.infer_ms}
            columns["shadow"] = shadows.get(result.uid)
        found.append(columns)
    arrays: dict[str, Any] = {
        field.name: pa.array([columns.get(field.name) for columns in found], field.type)
        for field in COMMIT_SCHEMA
        if field.name not in _OF_THE_IMAGE
    }
    places = pa.array([row.place for row in rows], pa.int64())
    arrays |= {name: decoded[name].take(places) for name in _OF_THE_IMAGE}
    is_first = pc.fill_null(pc.equal(arrays["query"], 0), True)
    arrays["meta_json"] = pc.if_else(is_first, arrays["meta_json"], pa.scalar(None, pa.string()))
    return pa.Table.from_arrays([arrays[name] for name in COMMIT_SCHEMA.names], schema=COMMIT_SCHEMA)


def _answer(row: RowInput, result: RowResult, facts: ModelFacts) -> dict[str, Any]:
    """The columns that the engine fills."""
    if result.error is not None or result.trace is None:
        error = result.error
        code = ErrorCode(error.code) if error else ErrorCode.MODEL_ERROR
        message = error.message if error else "the engine gave neither an answer nor an error"
        return {
            "status": RowStatus.FAILED,
            "error_stage": ErrorStage.INFER,
            "error_code": code,
            "error_message": message,
        }
    trace = result.trace
    flops = costs.row_flops(facts.config, trace)
    scored = zip(row.candidates, result.scores, strict=True)
    answers = [{"text": _text(facts.processor.tokenizer, one.ids), "score": score} for one, score in scored]
    return {
        "text": result.text,
        "label": result.label,
        "candidates": answers or None,
        "finish_reason": result.finish_reason,
        "n_tokens": len(result.tokens),
        "tokens": result.tokens,
        "image_layers_run": trace.image,
        "text_layers_run": trace.text,
        "decoder_layers_run": trace.decoder,
        "checks": sum(trace.checks),
        "flops_executed": flops.executed,
        "flops_full_same_length": flops.full_same_length,
        "flops_checks": flops.checks,
        "flops_kv_fill": flops.kv_fill,
        "flops_reused": result.flops_reused,
        **{f"flops_reused_{what}": getattr(result.reused, what) for what in REUSED},
        "flops_padding": result.flops_padding,
    }


@lru_cache(maxsize=64)
def _text(tokenizer: Tokenizer, ids: tuple[int, ...]) -> str:
    return tokenizer.decode(ids).strip()
