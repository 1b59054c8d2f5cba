"""The engine: one thread owns the model; callers submit rows and wait for exactly those.

Rows of several calls share groups. The engine never waits for rows that nobody has submitted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from mue_model.engine.runner import Runner, row_error
from mue_model.rows import RowInput, RowResult

Detokenize = Callable[[Sequence[int]], str]
Follow = Callable[[RowInput, RowResult], RowInput | None]
"""Says, as a row leaves, which row is to follow it at once, if any. Runs on the engine's thread."""


class EngineStopped(RuntimeError):
    """The engine ended with rows in hand, or was closed before rows were submitted."""


class _Call:
    """Rows that one caller handed over at once, those that follow them, and what has come back of all."""

    def __init__(self, rows: Sequence[RowInput], follow: Follow | None) -> None:
        self.future: Future[list[RowResult]] = Future()
        self.future.set_running_or_notify_cancel()  # rows cannot be withdrawn: cancel() answers no
        self.submitted = time.perf_counter()
        self.tickets = [_Ticket(row, self, place) for place, row in enumerate(rows)]
        self._follow = follow
        self._results: dict[int, RowResult] = {}
        self._open = len(rows)

    def follower(self, ticket: _Ticket, result: RowResult) -> _Ticket | None:
        """Return the ticket of the row that follows; a row that followed another is itself the last."""
        if self._follow is None or ticket.place >= len(self.tickets):
            return None
        row = self._follow(ticket.row, result)
        if row is None:
            return None
        self._open += 1
        return _Ticket(row, self, ticket.place + len(self.tickets))

    def deliver(self, place: int, result: RowResult) -> None:
        """Take the result of the row at `place`; the last one completes the call."""
        if place in self._results:
            raise AssertionError(f"row {result.uid} left the engine twice")
        self._results[place] = result
        self._open -= 1
        if not self._open:
            self.future.set_result([result for _, result in sorted(self._results.items())])


class _Ticket:
    """One row: whose it is, where its result goes, and when it came in."""

    __slots__ = ("admitted", "call", "place", "row")

    def __init__(self, row: RowInput, call: _Call, place: int) -> None:
        self.row, self.call, self.place = row, call, place
        self.admitted = 0.0


class Engine:
    """Answers rows on one daemon thread, which drives a `Runner`.

    Every result equals that of `reference.run_row`, whatever its neighbours (engine settings never change a
    row). A row that raises becomes a result with an error; its neighbours are answered.
    """

    def __init__(self, runner: Runner, detokenize: Detokenize | None = None) -> None:
        self._runner, self._detokenize = runner, detokenize
        self._waiting: deque[_Ticket] = deque()
        self._inside: dict[int, _Ticket] = {}
        self._next_ticket = 0
        self._changed = threading.Condition()
        self._closed = False
        self._death: BaseException | None = None
        self.turns = 0
        """How often the runner has worked; with rows in hand, one that does not grow shows a stuck engine."""
        self._thread = threading.Thread(target=self._serve, name="mue-engine", daemon=True)
        self._thread.start()

    def submit(self, rows: Sequence[RowInput], *, follow: Follow | None = None) -> Future[list[RowResult]]:
        """Hand over rows from any thread; the future holds their results in input order.

        What `follow` returns for a row is let in before rows that wait, and its result stands behind those of `rows`,
        in the order of the rows that were followed. The future fails with `EngineStopped` if the engine dies before
        the last of all is answered.
        """
        call = _Call(rows, follow)
        if not rows:
            call.future.set_result([])
            return call.future
        with self._changed:
            if self._closed:
                raise EngineStopped("the engine is closed; no rows are accepted") from self._death
            self._waiting.extend(call.tickets)
            self._changed.notify()
        return call.future

    @property
    def alive(self) -> bool:
        """Whether the engine still answers."""
        return self._thread.is_alive()

    def occupancies(self) -> dict[str, float]:
        """Return, for each stage that has run, rows over places of its groups so far."""
        return self._runner.occupancies()

    def close(self) -> None:
        """Answer what was submitted, then stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        """Work until closed and empty; on death fail every call that still waits."""
        try:
            while self._admit():
                for number, result in self._runner.step(held_back=bool(self._waiting)):
                    self._deliver(self._inside[number], result)
                    del self._inside[number]  # not before: should that raise, its call is still one of those that fail
                self.turns += 1
        except BaseException as death:
            self._die(death)
            raise

    def _die(self, death: BaseException) -> None:
        with self._changed:
            self._closed, self._death = True, death
            stranded = {ticket.call for ticket in [*self._inside.values(), *self._waiting]}
            self._waiting.clear()
        for call in stranded:
            if not call.future.done():
                call.future.set_exception(EngineStopped(f"the engine died: {type(death).__name__}: {death}"))

    def _admit(self) -> bool:
        """Move waiting rows inside while there is room, the oldest first; wait for some if there is nothing to do.

        Returns false when the engine is closed and empty.
        """
        with self._changed:
            while not self._waiting and not self._inside:
                if self._closed:
                    return False
                self._changed.wait()
            admitted = [self._waiting.popleft() for _ in range(min(self._runner.room(), len(self._waiting)))]
        for ticket in admitted:
            ticket.admitted = time.perf_counter()
            number = self._next_ticket
            self._next_ticket += 1
            self._inside[number] = ticket
            self._runner.admit(number, ticket.row)
        return True

    def _deliver(self, ticket: _Ticket, result: RowResult) -> None:
        result = replace(
            self._with_text(result),
            queue_ms=(ticket.admitted - ticket.call.submitted) * 1e3,
            infer_ms=(time.perf_counter() - ticket.admitted) * 1e3,
        )
        following = ticket.call.follower(ticket, result)
        if following is not None:
            with self._changed:
                self._waiting.appendleft(following)
        ticket.call.deliver(ticket.place, result)

    def _with_text(self, result: RowResult) -> RowResult:
        if self._detokenize is None or result.error is not None:
            return result
        try:
            return replace(result, text=self._detokenize(result.tokens))
        except Exception as failure:
            return RowResult(uid=result.uid, error=row_error(failure))
