"""`control.json`: requests to a running job, and how its tasks and actors notice them.

A Ray Dataset cannot be told to finish early. Instead every read, decode and model process looks at this file: reads
end without their shard's total, decode and model hand on no further rows, and what the engine has in hand is answered
and committed. What was dropped has no receipt, so the next attempt does it; or, where the job was only asked to have
another number of actors, the next Dataset of the same attempt.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mue_model.config import Config, ConfigError
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.spec import MOST_ACTORS
from pipeline.storage import Storage, StorageError

CONTROL = "control.json"
CHECK_S = 1.0
"""Seconds between two looks of one process at the file; on an object store each look is a request."""


class Scale(Config):
    """A request for another number of model actors."""

    attempt: str
    """The attempt that is asked; another one takes no notice and has the actors of its own settings."""
    id: str
    """Unlike that of any other request."""
    min: int = Field(gt=0, le=MOST_ACTORS)
    max: int = Field(gt=0, le=MOST_ACTORS)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max {self.max} is below min {self.min}")
        return self


class Control(Config):
    """`Control` v2: what is asked of a job. v1 had no `scale`."""

    schema_version: Literal[1, 2] = 2
    stop: str | None = None
    """The attempt that is to end; another attempt takes no notice, so a request that was left over stops nothing."""
    scale: Scale | None = None

    def to_json(self) -> bytes:
        """Return the bytes of `control.json`."""
        return canonical_json(self.model_dump(mode="json"))


def read_control(storage: Storage) -> Control:
    """Return what is asked now. Nothing is where the file is absent, out of reach for a moment, or a stranger's."""
    try:
        return parse_json(Control, storage.read(CONTROL), where=CONTROL)
    except (StorageError, ConfigError):
        return Control()


def request_stop(storage: Storage, attempt: str) -> None:
    """Ask every process of `attempt` to take no further rows."""
    storage.write(CONTROL, Control(stop=attempt, scale=read_control(storage).scale).to_json())


def request_scale(storage: Storage, attempt: str, *, min_actors: int, max_actors: int) -> Scale:
    """Ask `attempt` to go on with so many actors.

    A stop that is requested at the very same time may be overwritten: who asks for one looks whether it is obeyed.
    """
    scale = Scale(attempt=attempt, id=secrets.token_hex(8), min=min_actors, max=max_actors)
    storage.write(CONTROL, Control(stop=read_control(storage).stop, scale=scale).to_json())
    return scale


def scale_of(storage: Storage, attempt: str) -> Scale | None:
    """Return the last request for actors that is made of `attempt`."""
    scale = read_control(storage).scale
    return scale if scale is not None and scale.attempt == attempt else None


class StopWatch:
    """Tells whether work is to end, looking at the storage once a second at most. Can be sent to processes."""

    def __init__(self, output: str, attempt: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._attempt, self._clock = output, attempt, clock
        self._next, self._stopped = 0.0, False
        self._scale: tuple[str | None] | None = None

    def also_for_other_actors(self, scale_id: str | None) -> StopWatch:
        """Return a watch that also ends work which runs with the actors of `scale_id` when others are asked for."""
        watch = StopWatch(self._output, self._attempt, clock=self._clock)
        watch._scale = (scale_id,)
        return watch

    def stopped(self) -> bool:
        """Return whether an end was requested; once it was, it stays so."""
        now = self._clock()
        if not self._stopped and now >= self._next:
            self._next = now + CHECK_S
            self._stopped = self._requested()
        return self._stopped

    def __getstate__(self) -> dict[str, Any]:
        # Another machine's clock starts elsewhere.
        return self.__dict__ | {"_next": 0.0}

    def _requested(self) -> bool:
        control = read_control(Storage.open(self._output))
        if control.stop == self._attempt:
            return True
        scale = control.scale
        return (
            self._scale is not None
            and scale is not None
            and scale.attempt == self._attempt
            and (scale.id,) != self._scale
        )
