"""The model actor: the only place that knows both Ray's batches and the engine.

Ray calls it from several threads at a time; each call submits its rows to the one engine and waits for exactly
those, so rows of several calls share the engine's batches. Rows leave in the order in which they came.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
import ray
import torch

from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.engine.engine import Engine, EngineStopped, Follow
from mue_model.model_folder import ModelFolderError
from mue_model.model_names import model_facts
from mue_model.rows import RowInput, RowResult
from pipeline.actor_audit import ActorAudit
from pipeline.actor_tally import ActorTally
from pipeline.answered import answered_table
from pipeline.drain_gate import DrainGate
from pipeline.engines import Engines
from pipeline.fan_out import query_rows
from pipeline.gpu_counters import GpuCounters
from pipeline.shadow_rows import row_to_shadow, shadows_by_uid
from pipeline.timing_window import Arm, Run
from pipeline.windowed import Windowed

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
        audit: ActorAudit | None = None,
        *,
        windows: bool = True,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Load the model called `model` on this node; raise `ModelFolderError` if it is not the planned one.

        Args:
            model: Its name.
            digest: Its digest in the plan.
            exits: When rows leave.
            generation: How text is decoded.
            engine: How rows are batched.
            attempt: The attempt that the rows belong to.
            audit: Shadow rows and timing windows; None for none.
            windows: Whether there may be timing windows.
            stopped: Whether the job is to end: no timing window begins any more.
        """
        # Asking for the context starts a Ray where there is none: `mue plan` has none.
        own_id = ray.get_runtime_context().get_actor_id() if ray.is_initialized() else None
        self._attempt, self._actor = attempt, own_id or "driver"
        self._selection = audit.shadows if audit is not None and audit.shadows.any else None
        self.tally = ActorTally(
            attempt=attempt,
            actor=self._actor,
            purpose=audit.purpose if audit else "run",
            node=platform.node(),
            gpu_counters=GpuCounters().millijoules,
        )
        began = time.perf_counter()
        facts = self._facts = model_facts(model)
        if facts.digest != digest:
            raise ModelFolderError(f"model '{model}' has digest {facts.digest} on this node, the plan says {digest}")
        if engine.threads:
            torch.set_num_threads(engine.threads)
        self._image_size = facts.processor.image_size
        self._engines = Engines(facts, exits, generation, engine, shadows=self._selection is not None)
        loaded = time.perf_counter()
        self._engines.warm_up()
        self.tally.loaded(
            load_s=loaded - began,
            warm_up_s=time.perf_counter() - loaded,
            device=self._engines.device,
            threads=self._engines.threads,
            gpu=self._engines.gpu,
        )
        self._gate = DrainGate()
        self._windowed: Windowed | None = None
        if audit is not None and windows:
            self._windowed = Windowed(audit, self.tally, self._gate, self._arms, self._engines.rows_wanted, stopped)

    @property
    def turns(self) -> int:
        """How often the engine has worked so far."""
        return self._engines.turns

    def occupancies(self) -> dict[str, float]:
        """Return how full the groups of the engine's stages were so far."""
        return self._engines.job.occupancies()

    def answer(self, table: pa.Table, *, audited: bool = True) -> pa.Table:
        """Answer the queries that are `ok`; pass failed, filtered and control rows through.

        Rows that are not `audited` get no shadow, which counts as lost: of a row that may have killed its process the
        answer matters more than what full depth says.
        """
        rows = query_rows(table, self._image_size)
        asked = [row.asked for row in rows if row.asked is not None]
        with self._gate.shared(), self.tally.working():
            results, shadows = self._answer(asked, with_shadows=audited)
        answers = answered_table(
            table, rows, results, self._facts, attempt=self._attempt, actor=self._actor, shadows=shadows
        )
        self.tally.answered(answers)
        if audited and self._windowed is not None:
            self._windowed.after([row for row, result in zip(asked, results, strict=True) if result.error is None])
        return answers

    def _answer(
        self, rows: list[RowInput], *, with_shadows: bool
    ) -> tuple[list[RowResult], dict[str, dict[str, object]]]:
        """Wait for exactly these rows; return their results, and by uid what full depth gave for the selected ones."""
        if self._selection is None:
            return self._wait(self._engines.job, rows), {}
        to_shadow = partial(row_to_shadow, selection=self._selection)
        results = self._wait(self._engines.job, rows, follow=to_shadow if with_shadows else None)
        results, again = results[: len(rows)], results[len(rows) :]
        selected = len(again)
        if not with_shadows:  # then all that would have been are lost
            selected = sum(to_shadow(row, result) is not None for row, result in zip(rows, results, strict=True))
        shadows = shadows_by_uid(results, again, self._facts.config)
        self.tally.shadowed(selected=selected, shadows=list(shadows.values()))
        return results, shadows

    def _wait(self, engine: Engine, rows: Sequence[RowInput], *, follow: Follow | None = None) -> list[RowResult]:
        """Wait for `rows` and what follows. A dead engine ends the process: Ray restarts it and repeats its calls."""
        try:
            return engine.submit(rows, follow=follow).result()
        except EngineStopped as stopped:
            print(f"mue actor {self._actor}: {stopped}; leaving so that Ray restarts it", file=sys.stderr, flush=True)
            os._exit(ENGINE_DIED_EXIT)

    def _arms(self) -> dict[Arm, Run]:
        return {"exits": partial(self._wait, self._engines.job), "full": partial(self._wait, self._engines.full)}
