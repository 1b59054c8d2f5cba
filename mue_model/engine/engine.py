"""The engine: one thread owns the model; callers submit rows and wait for exactly those.

Rows of several calls share batches. The engine never waits for rows that nobody has submitted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

import torch

from mue_model.config import EngineConfig
from mue_model.engine.batch import BatchRunner, geometry_of
from mue_model.rows import RowError, RowInput, RowResult

Detokenize = Callable[[Sequence[int]], str]


class EngineStopped(RuntimeError):
    """The engine ended with rows in hand, or was closed before rows were submitted."""


class _Call:
    """Rows that one caller handed over at once, and what has come back of them."""

    def __init__(self, rows: Sequence[RowInput]) -> None:
        self.future: Future[list[RowResult]] = Future()
        self.future.set_running_or_notify_cancel()  # rows cannot be withdrawn: cancel() answers no
        self.submitted = time.perf_counter()
        self._results: list[RowResult | None] = [None] * len(rows)
        self._open = len(rows)

    def deliver(self, place: int, result: RowResult) -> None:
        """Take the result of the row at `place`; the last one completes the call."""
        if self._results[place] is not None:
            raise AssertionError(f"row {result.uid} left the engine twice")
        self._results[place] = result
        self._open -= 1
        if not self._open:
            self.future.set_result([result for result in self._results if result is not None])


class _Ticket:
    """One waiting row: whose it is and where its result goes."""

    __slots__ = ("call", "geometry", "place", "row")

    def __init__(self, row: RowInput, call: _Call, place: int) -> None:
        self.row, self.call, self.place = row, call, place
        self.geometry = geometry_of(row)


class Engine:
    """Answers rows in batches of at most `group_size`, on one daemon thread.

    Every result equals that of `reference.run_row`, whatever its neighbours (engine settings never change a
    row). A row that raises becomes a result with an error; its neighbours are answered.
    """

    def __init__(self, runner: BatchRunner, config: EngineConfig, detokenize: Detokenize | None = None) -> None:
        self._runner, self._config, self._detokenize = runner, config, detokenize
        self._waiting: deque[_Ticket] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._death: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="mue-engine", daemon=True)
        self._thread.start()

    def submit(self, rows: Sequence[RowInput]) -> Future[list[RowResult]]:
        """Hand over rows from any thread; the future holds their results in input order.

        The future fails with `EngineStopped` if the engine dies before the last of them is answered.
        """
        call = _Call(rows)
        if not rows:
            call.future.set_result([])
            return call.future
        tickets = [_Ticket(row, call, place) for place, row in enumerate(rows)]
        with self._changed:
            if self._closed:
                raise EngineStopped("the engine is closed; no rows are accepted") from self._death
            self._waiting.extend(tickets)
            self._changed.notify()
        return call.future

    @property
    def alive(self) -> bool:
        """Whether the engine still answers."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Answer what was submitted, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        """Run batches until closed; on death fail every call that still waits."""
        group: list[_Ticket] = []
        try:
            while group := self._next_group():
                self._answer(group)
        except BaseException as death:
            self._die(death, group)
            raise

    def _die(self, death: BaseException, group: list[_Ticket]) -> None:
        with self._changed:
            self._closed, self._death = True, death
            stranded = {ticket.call for ticket in [*group, *self._waiting]}
            self._waiting.clear()
        for call in stranded:
            if not call.future.done():
                call.future.set_exception(EngineStopped(f"the engine died: {type(death).__name__}: {death}"))

    def _next_group(self) -> list[_Ticket]:
        """Wait for rows; return the oldest and up to group_size - 1 of the same geometry, or [] when closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            group: list[_Ticket] = []
            others: deque[_Ticket] = deque()
            while self._waiting and len(group) < self._config.group_size:
                ticket = self._waiting.popleft()
                fits = not group or ticket.geometry == group[0].geometry
                (group if fits else others).append(ticket)
            self._waiting.extendleft(reversed(others))
            return group

    def _answer(self, group: list[_Ticket]) -> None:
        """Run a group and deliver every row; a group that raises is halved until the row at fault is alone."""
        began = time.perf_counter()
        error = None
        try:
            results = [self._with_text(result) for result in self._runner.run([ticket.row for ticket in group])]
        except (MemoryError, torch.OutOfMemoryError) as failure:
            error = RowError(code="out_of_memory", message=str(failure))
        except Exception as failure:
            if _device_is_lost(failure):
                raise
            error = RowError(code="model_error", message=f"{type(failure).__name__}: {failure}")
        if error:  # outside the handlers: the failure is gone, and with it the memory that its frames held
            self._halve(group, error)
            return
        ended = time.perf_counter()
        uids = tuple(ticket.row.uid for ticket in group)
        for ticket, result in zip(group, results, strict=True):
            ticket.call.deliver(
                ticket.place,
                replace(
                    result,
                    queue_ms=(began - ticket.call.submitted) * 1e3,
                    infer_ms=(ended - began) * 1e3,
                    group_uids=uids,
                ),
            )

    def _halve(self, group: list[_Ticket], error: RowError) -> None:
        """Give a single row its error; run the halves of a larger group again."""
        if len(group) == 1:
            ticket = group[0]
            ticket.call.deliver(ticket.place, RowResult(uid=ticket.row.uid, error=error))
            return
        middle = len(group) // 2
        self._answer(group[:middle])
        self._answer(group[middle:])

    def _with_text(self, result: RowResult) -> RowResult:
        if self._detokenize is None or result.error is not None:
            return result
        return replace(result, text=self._detokenize(result.tokens))


def _device_is_lost(error: Exception) -> bool:
    """Whether the accelerator itself failed, so that no further row can be answered in this process."""
    return isinstance(error, torch.AcceleratorError)
