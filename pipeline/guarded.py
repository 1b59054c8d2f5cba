"""Decode and the model as Ray runs them: stoppable, watched, and safe from rows that kill their process."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pyarrow as pa
import ray

from pipeline.actor import ModelActor
from pipeline.blocks import cut_at_images
from pipeline.guard import Guard
from pipeline.isolation import Isolation
from pipeline.metrics import RayMeter, RowMetrics
from pipeline.metrics_file import MetricsFile
from pipeline.records import COMMIT_SCHEMA, ErrorStage
from pipeline.storage import Storage
from pipeline.watchdog import Watchdog, ends_process_after


class GuardedDecode:
    """`decode` for Ray tasks: the same rows in the same order, or none at all once the job is to stop."""

    def __init__(self, decode: Callable[[pa.Table], pa.Table], guard: Guard) -> None:
        self._decode, self._guard = decode, guard
        self._stop = guard.stop_watch()
        self._isolation: tuple[str, Isolation] | None = None

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the decoded rows of one call."""
        if self._stop.stopped():
            return self._decode(table.slice(0, 0))
        if self._guard.watched or _run_again():
            return self._isolation_of_task().run(table, self._watched)
        return self._watched(table)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_isolation": None}

    def _watched(self, table: pa.Table) -> pa.Table:
        with ends_process_after(self._guard.stuck_s):
            return self._decode(table)

    def _isolation_of_task(self) -> Isolation:
        """A retried task keeps its id, and so finds what its dead process had in hand."""
        task = ray.get_runtime_context().get_task_id() or "driver"
        if self._isolation is None or self._isolation[0] != task:
            self._isolation = (task, self._guard.isolation(ErrorStage.DECODE, task))
        return self._isolation[1]


class GuardedModelActor:
    """`ModelActor` for a Ray pool: answers every row of a call, or takes none once the job is to stop."""

    def __init__(self, guard: Guard, *model: Any) -> None:
        """`model` are the arguments of `ModelActor`."""
        context = ray.get_runtime_context()
        self._stop = guard.stop_watch()
        self._isolation: Isolation | None = None
        actor, restarted = context.get_actor_id() or "driver", _restarted()
        if guard.watched or restarted:
            self._isolation = guard.isolation(ErrorStage.INFER, actor)
        with guard.restart(actor) if restarted else nullcontext():
            # Where processes die there is no timing: whoever waits for a drained process would be suspect too.
            self._model = ModelActor(*model, windows=self._isolation is None, stopped=self._stop.stopped)
        self._watchdog = Watchdog(guard.stuck_s, lambda: self._model.turns)
        self._meters = RowMetrics(RayMeter(), self._model.occupancies)
        process = f"{guard.attempt}-{actor}-{secrets.token_hex(3)}"
        self._metrics = MetricsFile(
            Storage.open(guard.output), process, self._model.tally.lines, lambda: not self._model.tally.idle
        )
        self._metrics.write()

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Return the answers of one call in order, in pieces that Ray does not cut inside an image."""
        if self._stop.stopped():
            return cut_at_images(COMMIT_SCHEMA.empty_table())  # a generator: Ray takes no other iterator
        with self._watchdog.working():
            answer = self._model.answer
            careful = partial(answer, audited=False)
            answers = answer(table) if self._isolation is None else self._isolation.run(table, answer, careful)
        self._meters.count(answers)
        if self._model.tally.idle:
            self._metrics.write()
        return cut_at_images(answers)


def _run_again() -> bool:
    """Whether an earlier process of this task died, or its output was lost: the next death is to tell who did it."""
    # There is no public way to ask. The first attempt is 0, and so is a driver's own.
    return ray.is_initialized() and ray.get_runtime_context().worker.core_worker.get_current_task_attempt_number() > 0


def _restarted() -> bool:
    """Whether an earlier process of this actor died."""
    with warnings.catch_warnings():
        # The question is public; what Ray asks itself for the answer is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)
