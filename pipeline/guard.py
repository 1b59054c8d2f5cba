"""What every process of a segment is told for its own protection: when to stop, whom to suspect, when it is stuck."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pipeline.control import StopWatch
from pipeline.hand_record import HandRecord
from pipeline.intents import Suspects, read_intents, suspects_of
from pipeline.isolation import Isolation
from pipeline.patience import patiently
from pipeline.records import ErrorStage
from pipeline.starts import counted_start
from pipeline.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Can be sent to other processes."""

    output: str
    """URL of the output folder."""
    attempt: str
    stuck_s: float
    """Seconds without progress after which a process with rows in hand is ended."""
    watched: bool = False
    """A process of this job died lately: rows in hand are recorded."""
    suspects: Suspects = field(default_factory=Suspects)
    max_restarts: int = 3
    """How often in a row an actor may die as it starts."""
    scale_id: str | None = None
    """The request for actors that the segment runs with; another one ends it early."""

    def stop_watch(self) -> StopWatch:
        """Return what tells that the segment is to end: with its attempt, or to go on with other actors."""
        return StopWatch(self.output, self.attempt).also_for_other_actors(self.scale_id)

    def restart(self, actor: str) -> AbstractContextManager[None]:
        """Return what a restarted process of `actor` gets ready in: it raises `CannotStart` where too many died so."""
        storage = Storage.open(self.output)
        return counted_start(storage, owner=f"{self.attempt}-{actor}", allowed=self.max_restarts)

    def isolation(self, stage: ErrorStage, owner: str) -> Isolation:
        """Return the isolation of a process that does the work of `owner`, an actor or a task.

        Earlier processes of the same owner are dead: what they had in hand is suspect too.
        """
        storage, name = Storage.open(self.output), f"{self.attempt}-{owner}-"
        died = suspects_of(patiently(lambda: read_intents(storage, owner=name)).values())
        record = HandRecord(storage, stage=stage, owner=f"{name}{secrets.token_hex(4)}")
        return Isolation(stage, record, self.suspects.joined(died))
