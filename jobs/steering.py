"""Requests to a running job, from any machine that can write its output folder: to end, or to have other actors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from jobs.commit_times import commit_times, segment_of
from jobs.job_folder import run_facts
from jobs.job_state import JobState, state_of
from mue_model.config import ConfigError
from pipeline.control import Scale, read_control, request_scale, request_stop, scale_of
from pipeline.ledger import Ledger

LOOK_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """What became of a request to end."""

    attempt: str | None
    """The attempt that was asked; None where nothing ran."""
    ended_s: float | None
    """Seconds until it had ended; None if it has not."""


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What became of a request for actors."""

    scale: Scale
    in_force_s: float | None
    """Seconds until the rows in hand were committed and the new pool was asked for."""
    first_part_s: float | None
    """Seconds until the new pool committed its first rows."""
    ended: bool
    """The job ended before that."""
    replaced: bool = False
    """Other actors were asked for since, before these were seen in force: the job goes on with the others."""


def running_attempt(ledger: Ledger) -> str | None:
    """Return the attempt that works on the job now, as far as can be seen."""
    attempts = run_facts(ledger).get("attempts") or []
    if not _state(ledger).active or not attempts or attempts[-1].get("exit_code") is not None:
        return None
    return str(attempts[-1]["attempt"])


def cancel(
    ledger: Ledger,
    *,
    wait_s: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Cancelled:
    """Ask the running attempt to let the rows in hand finish and to end; wait for that at most so long."""
    attempt = running_attempt(ledger)
    if attempt is None:
        return Cancelled(attempt=None, ended_s=None)
    request_stop(ledger.storage, attempt)
    began = clock()
    while clock() - began < wait_s:
        if running_attempt(ledger) != attempt:
            return Cancelled(attempt=attempt, ended_s=clock() - began)
        if read_control(ledger.storage).stop != attempt:
            request_stop(ledger.storage, attempt)  # a request for actors came in between
        sleep(LOOK_S)
    return Cancelled(attempt=attempt, ended_s=None)


def resizable_attempt(ledger: Ledger, *, min_actors: int, max_actors: int) -> str:
    """Return the attempt that can be asked for other actors.

    Raises:
        ConfigError: Nothing runs, or it is about to end.
    """
    attempt = running_attempt(ledger)
    if attempt is None:
        raise ConfigError(
            f"{ledger.storage.url}: no job is running that could be resized; "
            f"start or resume it with --actors {min_actors}:{max_actors}"
        )
    if read_control(ledger.storage).stop == attempt:
        raise ConfigError(f"{ledger.storage.url}: the job was asked to end; resume it with the actors it should have")
    return attempt


def scale(
    ledger: Ledger,
    *,
    min_actors: int,
    max_actors: int,
    wait_s: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Scaled:
    """Ask the running attempt to go on with so many actors; wait at most `wait_s` seconds until it does.

    Raises:
        ConfigError: Nothing runs, or it is about to end.
    """
    attempt = resizable_attempt(ledger, min_actors=min_actors, max_actors=max_actors)
    asked = request_scale(ledger.storage, attempt, min_actors=min_actors, max_actors=max_actors)
    began = clock()
    in_force_s: float | None = None
    while clock() - began < wait_s:
        replaced = scale_of(ledger.storage, attempt) not in (asked, None)
        segment = _segment_of(ledger, asked)
        if segment is not None:
            in_force_s = clock() - began if in_force_s is None else in_force_s
            if _has_committed(ledger, attempt, segment):
                return Scaled(scale=asked, in_force_s=in_force_s, first_part_s=clock() - began, ended=False)
        elif replaced:
            return Scaled(scale=asked, in_force_s=None, first_part_s=None, ended=False, replaced=True)
        if running_attempt(ledger) != attempt:
            return Scaled(scale=asked, in_force_s=in_force_s, first_part_s=None, ended=True)
        sleep(LOOK_S)
    return Scaled(scale=asked, in_force_s=in_force_s, first_part_s=None, ended=False)


def _state(ledger: Ledger) -> JobState:
    return state_of(ledger, ledger.plan(), ledger.progress(), commit_times(ledger).values())


def _segment_of(ledger: Ledger, asked: Scale) -> int | None:
    """The first segment that had the actors of a request."""
    attempts = run_facts(ledger).get("attempts") or [{}]
    return next((known["segment"] for known in attempts[-1].get("scales", []) if known["id"] == asked.id), None)


def _has_committed(ledger: Ledger, attempt: str, segment: int) -> bool:
    """Whether a part of the segment, or of a later one, is committed."""
    numbers = (segment_of(receipt, attempt) for receipt in ledger.receipts())
    return any(number is not None and number >= segment for number in numbers)
