"""The model actor: the only place that knows both Ray's batches and the engine.

Ray calls it from several threads at a time; each call submits its rows to the one engine and waits for exactly
those, so rows of several calls share the engine's batches. Rows leave in the order in which they came.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import torch

from mue_model import costs
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.engine import Engine, EngineStopped
from mue_model.loading import build_engine
from mue_model.model_folder import ModelFacts, ModelFolderError
from mue_model.model_names import model_facts
from mue_model.rows import RowInput, RowResult
from pipeline.records import COMMIT_SCHEMA, REUSED, ErrorCode, ErrorStage, RowStatus

ENGINE_DIED_EXIT = 70
"""Exit status of an actor process whose engine died, so that Ray starts another."""

_PASSED_ON = [
    *("uid", "shard_id", "shard_uri", "key", "row_in_shard", "query", "image_sha256", "width", "height"),
    *("prompt", "meta_json", "shard_total", "shard_state", "shard_code", "shard_message"),
]


class ModelActor:
    """`decoded_schema` tables in, `COMMIT_SCHEMA` tables out: one output row per input row, in the same order."""

    def __init__(
        self,
        model: str,
        digest: str,
        exits: ExitConfig,
        generation: GenerationConfig,
        engine: EngineConfig,
        attempt: str,
    ) -> None:
        """Load the model called `model` on this node; raise `ModelFolderError` if it is not the planned one."""
        facts = model_facts(model)
        if facts.digest != digest:
            raise ModelFolderError(f"model '{model}' has digest {facts.digest} on this node, the plan says {digest}")
        if engine.threads:
            torch.set_num_threads(engine.threads)
        self._facts, self._attempt = facts, attempt
        self._image_size = facts.processor.image_size
        self._actor = ray.get_runtime_context().get_actor_id() or "driver"
        self._engine: Engine = build_engine(facts, exits, generation, engine)

    @property
    def turns(self) -> int:
        """How often the engine has worked so far."""
        return self._engine.turns

    def __call__(self, table: pa.Table) -> pa.Table:
        """Answer the rows that are `ok`; pass failed, filtered and control rows through."""
        asked = [place for place, status in enumerate(table["status"].to_pylist()) if status == RowStatus.OK]
        results = self._answer([self._row_input(table, place) for place in asked])
        return commit_table(table, dict(zip(asked, results, strict=True)), self._facts, self._attempt, self._actor)

    def _row_input(self, table: pa.Table, place: int) -> RowInput:
        size = self._image_size
        pixels = np.frombuffer(table["pixels"][place].as_buffer(), dtype=np.uint8).reshape(size, size, 3)
        return RowInput(
            uid=table["uid"][place].as_py(),
            pixels=pixels,
            prompt_ids=tuple(table["prompt_ids"][place].as_py()),
            task=table["task"][place].as_py(),
            image_key=table["image_sha256"][place].as_py() or "",
        )

    def _answer(self, rows: list[RowInput]) -> list[RowResult]:
        """Wait for exactly these rows. A dead engine ends the process: Ray restarts it and repeats its calls."""
        try:
            return self._engine.submit(rows).result()
        except EngineStopped as stopped:
            print(f"mue actor {self._actor}: {stopped}; leaving so that Ray restarts it", file=sys.stderr, flush=True)
            os._exit(ENGINE_DIED_EXIT)


def commit_table(
    table: pa.Table, results: dict[int, RowResult], facts: ModelFacts, attempt: str, actor: str
) -> pa.Table:
    """Join a decoded table with the results of its `ok` rows, by place, into a `COMMIT_SCHEMA` table."""
    rows = table.select(["uid", "task", "status", "error_stage", "error_code", "error_message"]).to_pylist()
    timings = table.select(["read_ms", "decode_ms"]).to_pylist()
    for place, row in enumerate(rows):
        if row["uid"] is None:
            continue
        row |= {"attempts": 1, "attempt_id": attempt, "timings": timings[place] | {"queue_ms": None, "infer_ms": None}}
        result = results.get(place)
        if result is not None:
            if result.uid != row["uid"]:
                raise AssertionError(f"row {row['uid']} got the answer of {result.uid}")
            row |= {"actor": actor, **_answered(result, facts)}
            row["timings"] |= {"queue_ms": result.queue_ms, "infer_ms": result.infer_ms}
    columns: dict[str, Any] = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type)
        for field in COMMIT_SCHEMA
        if field.name not in _PASSED_ON
    }
    for name in _PASSED_ON:
        columns[name] = table[name]
    return pa.Table.from_arrays([columns[name] for name in COMMIT_SCHEMA.names], schema=COMMIT_SCHEMA)


def _answered(result: RowResult, facts: ModelFacts) -> dict[str, Any]:
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
    return {
        "text": result.text,
        "label": result.label,
        "finish_reason": result.finish_reason,
        "n_tokens": len(result.tokens),
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
