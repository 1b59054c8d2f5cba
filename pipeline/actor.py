"""The model actor: the only place that knows both Ray's batches and the engine.

Ray calls it from several threads at a time; each call submits its rows to the one engine and waits for exactly
those, so rows of several calls share the engine's batches. Rows leave in the order in which they came.
"""

from __future__ import annotations

import os
import sys

import pyarrow as pa
import ray
import torch

from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.engine import Engine, EngineStopped
from mue_model.loading import build_engine
from mue_model.model_folder import ModelFolderError
from mue_model.model_names import model_facts
from mue_model.rows import RowInput, RowResult
from pipeline.answered import answered_table
from pipeline.fan_out import query_rows

ENGINE_DIED_EXIT = 70
"""Exit status of an actor process whose engine died, so that Ray starts another."""


class ModelActor:
    """`decoded_schema` tables in, `COMMIT_SCHEMA` tables out: one row per query of each image, in the same order."""

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
        # Asking for the context starts a Ray where there is none: `mue plan` has none.
        own_id = ray.get_runtime_context().get_actor_id() if ray.is_initialized() else None
        self._actor = own_id or "driver"
        self._engine: Engine = build_engine(facts, exits, generation, engine)

    @property
    def turns(self) -> int:
        """How often the engine has worked so far."""
        return self._engine.turns

    def occupancies(self) -> dict[str, float]:
        """Return how full the groups of the engine's stages were so far."""
        return self._engine.occupancies()

    def answer(self, table: pa.Table) -> pa.Table:
        """Answer the queries that are `ok`; pass failed, filtered and control rows through."""
        rows = query_rows(table, self._image_size)
        results = self._answer([row.asked for row in rows if row.asked is not None])
        return answered_table(table, rows, results, self._facts, attempt=self._attempt, actor=self._actor)

    def _answer(self, rows: list[RowInput]) -> list[RowResult]:
        """Wait for exactly these rows. A dead engine ends the process: Ray restarts it and repeats its calls."""
        try:
            return self._engine.submit(rows).result()
        except EngineStopped as stopped:
            print(f"mue actor {self._actor}: {stopped}; leaving so that Ray restarts it", file=sys.stderr, flush=True)
            os._exit(ENGINE_DIED_EXIT)
