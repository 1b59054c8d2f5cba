"""Answers stand beside their own query, and are accounted for."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mue_model import costs
from mue_model.model_names import model_facts
from mue_model.rows import ExitTrace, RowError, RowInput, RowResult
from pipeline.answered import answered_table
from pipeline.commit_table import split_commit_table
from pipeline.fan_out import query_rows
from pipeline.records import COMMIT_SCHEMA, decoded_schema

FACTS = model_facts("seeded")
SIZE = FACTS.processor.image_size
YES, NO = (FACTS.processor.tokenizer.encode(text)[1:] for text in (" yes", " no"))
TRACE = ExitTrace(
    grid=(8, 8), prompt_tokens=3, image=2, text=3, decoder=(4,), checks=(2, 3, 4), kv_fills=0, cross_kv_layers=4,
    candidates=2, target_tokens=5, scored_tokens=6,
)  # fmt: skip


def decoded() -> pa.Table:
    """Two images with three and one queries, and the shard's end."""
    candidates = [{"label": "entailment", "ids": YES}, {"label": "contradiction", "ids": NO}]
    good = {"status": "ok", "prompt": "p", "prompt_ids": [0, 7, 2], "candidates": candidates}
    bad = {"status": "failed", "error_stage": "preprocess", "error_code": "bad_field", "error_message": "no text"}
    rows: list[dict[str, Any]] = [
        {
            "uid": f"000000-a/{number}/0",
            "shard_id": "000000-a",
            "shard_uri": "a.tar",
            "key": f"k{number}",
            "row_in_shard": number,
            "query": 0,
            "task": "entailment",
            "queries": [{"query": place, **query} for place, query in enumerate(queries)],
            "pixels": bytes(SIZE * SIZE * 3),
            "image_sha256": "00",
            "width": 9,
            "meta_json": f'{{"n": {number}}}',
            "read_ms": 1.0,
            "decode_ms": 2.0,
            "status": "ok",
        }
        for number, queries in enumerate([[good, bad, good], [good]])
    ]
    rows.append({"shard_id": "000000-a", "shard_total": 2, "shard_state": "done", "pixels": bytes(SIZE * SIZE * 3)})
    return pa.Table.from_pylist(rows, schema=decoded_schema(SIZE))


def answer(row: RowInput, **changes: Any) -> RowResult:
    scores = (-0.1, -2.0) if row.uid.endswith("/0/0") else (-3.0, -0.05)
    best = 0 if scores[0] > scores[1] else 1
    settings: dict[str, Any] = {
        "uid": row.uid,
        "text": ("yes", "no")[best],
        "label": row.candidates[best].label,
        "tokens": row.candidates[best].ids,
        "scores": scores,
        "finish_reason": "candidate",
        "trace": TRACE,
        "queue_ms": 5.0,
        "infer_ms": 6.0,
    }
    return RowResult(**{**settings, **changes})


def table(**changes: Any) -> pa.Table:
    source = decoded()
    rows = query_rows(source, SIZE)
    asked = [row.asked for row in rows if row.asked is not None]
    results = [answer(row, **changes) for row in asked]
    return answered_table(source, rows, results, FACTS, attempt="a1", actor="x")


def test_each_query_has_its_own_answer_with_all_candidates() -> None:
    found = table()
    assert found.schema.equals(COMMIT_SCHEMA)
    rows = found.to_pylist()
    assert [row["uid"] for row in rows] == ["000000-a/0/0", "000000-a/0/1", "000000-a/0/2", "000000-a/1/0", None]
    assert [row["label"] for row in rows] == ["entailment", None, "contradiction", "contradiction", None]
    assert [row["text"] for row in rows] == ["yes", None, "no", "no", None]
    assert [row["tokens"] for row in rows] == [list(YES), None, list(NO), list(NO), None]
    assert rows[0]["candidates"] == [{"text": "yes", "score": -0.1}, {"text": "no", "score": -2.0}]
    assert [row["status"] for row in rows] == ["ok", "failed", "ok", "ok", None]
    assert (rows[1]["error_code"], rows[1]["attempts"], rows[1]["candidates"]) == ("bad_field", 1, None)
    flops = costs.row_flops(FACTS.config, TRACE)
    assert (rows[2]["flops_executed"], rows[2]["checks"], rows[2]["decoder_layers_run"]) == (flops.executed, 9, [4])
    assert (rows[4]["shard_total"], rows[4]["shard_state"]) == (2, "done")


def test_what_belongs_to_the_image_is_stored_once() -> None:
    rows = table().to_pylist()[:4]
    assert [row["meta_json"] for row in rows] == ['{"n": 0}', None, None, '{"n": 1}']
    assert [row["timings"]["read_ms"] for row in rows] == [1.0, None, None, 1.0]
    assert [row["timings"]["infer_ms"] for row in rows] == [6.0, None, 6.0, 6.0]
    assert [(row["key"], row["width"], row["shard_uri"]) for row in rows] == [("k0", 9, "a.tar")] * 3 + [
        ("k1", 9, "a.tar")
    ]


def test_the_table_can_be_committed_and_says_how_many_rows_an_image_has() -> None:
    found = table()
    assert found["image_queries"].to_pylist() == [3, 3, 3, 1, None]
    assert split_commit_table(found, fingerprint="f").ranges == {"000000-a": ((0, 2),)}


def test_an_answer_that_failed_is_a_failed_row() -> None:
    rows = table(error=RowError(code="nonfinite", message="NaN"), trace=None).to_pylist()
    assert [row["error_code"] for row in rows] == ["nonfinite", "bad_field", "nonfinite", "nonfinite", None]
    assert rows[0]["error_stage"] == "infer"


def test_an_answer_under_another_uid_is_never_committed() -> None:
    with pytest.raises(AssertionError, match="row 000000-a/0/0 got the answer of other"):
        table(uid="other")
