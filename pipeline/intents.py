"""Intents: which rows a process has in hand, on record before it works on them, so that its death names suspects.

Nothing is recorded while all is well: an intent per call would be millions of small files in an object store. A first
death (of an actor, a decode worker, or of the job) turns the record on, for what was uncommitted then. Even so a
process keeps one small file, written anew when it takes up further rows, by one of its calls for all that wait.

A suspect is run with growing care: with its neighbours, in half a call's rows, alone, alone once more. Whoever is alone
in hand at two deaths is quarantined: it becomes a failed row, and its neighbours have been answered on the way. One
such death would tell too little: where machines are taken away every minute, innocent rows are alone in hand at some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from mue_model.config import Config, ConfigError
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.intervals import Range, Ranges, length, merge
from pipeline.receipts import LedgerError
from pipeline.records import ErrorStage
from pipeline.storage import FileAbsent, Storage

FOLDER = "intents"


class Care(IntEnum):
    """How a row is run, in growing order."""

    TOGETHER = 0
    """With all rows that the process has in hand."""
    HALVES = 1
    """With nothing else in hand than its half of a call."""
    ALONE = 2
    """With nothing else in hand."""
    AGAIN = 3
    """With nothing else in hand, and so it was at a death before."""
    QUARANTINE = 4
    """Not at all: it becomes a failed row."""


class Intent(Config):
    """`Intent` v1: what one process had in hand at one time."""

    schema_version: Literal[1] = 1
    stage: ErrorStage
    care: Care
    rows: dict[str, tuple[Range, ...]]
    """Per shard the ranges [start, stop) of row_in_shard."""

    def to_json(self) -> bytes:
        """Return the bytes of the intent's file."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def next_care(self) -> Care:
        """How these rows are to be run after the death of the process that held them."""
        if self.care is Care.TOGETHER:
            return Care.HALVES
        if self.care is Care.AGAIN:
            return Care.QUARANTINE
        alone = sum(length(ranges) for ranges in self.rows.values()) == 1
        return Care.AGAIN if alone else Care.ALONE


@dataclass(frozen=True)
class Suspects:
    """The care that rows need which were in hand at a death; all others need none."""

    care: Mapping[tuple[ErrorStage, str, int], Care] = field(default_factory=dict)
    """By stage, shard_id and row_in_shard."""

    def __bool__(self) -> bool:
        return bool(self.care)

    def of(self, stage: ErrorStage, shard_id: str, row: int) -> Care:
        """Return how the row is to be run."""
        return self.care.get((stage, shard_id, row), Care.TOGETHER)

    def quarantined(self) -> set[tuple[str, int]]:
        """Return shard_id and row_in_shard of the rows that are not run any more."""
        return {(shard_id, row) for (_, shard_id, row), care in self.care.items() if care is Care.QUARANTINE}

    def joined(self, other: Suspects) -> Suspects:
        """Return both; a row in both needs the greater care."""
        together = dict(self.care)
        for row, care in other.care.items():
            together[row] = max(care, together.get(row, care))
        return Suspects(together)


def suspects_of(intents: Iterable[Intent]) -> Suspects:
    """Return the suspects that `intents` of dead processes name."""
    found = Suspects()
    for intent in intents:
        care = {
            (intent.stage, shard_id, row): intent.next_care
            for shard_id, ranges in intent.rows.items()
            for start, stop in ranges
            for row in range(start, stop)
        }
        found = found.joined(Suspects(care))
    return found


def read_intents(storage: Storage, *, owner: str = "") -> dict[str, Intent]:
    """Return the recorded intents by path; with `owner` only that actor's or task's.

    Raises:
        LedgerError: A file there is no intent.
    """
    found = {}
    for path in storage.list(FOLDER):
        if path.startswith(f"{FOLDER}/{owner}"):
            try:
                found[path] = parse_json(Intent, storage.read(path), where=f"{storage.url}/{path}")
            except FileAbsent:
                continue
            except ConfigError as error:
                raise LedgerError(f"{error}; this is no intent: delete it") from error
    return found


def forget_settled(storage: Storage, is_open: Callable[[str, Ranges], bool]) -> None:
    """Delete the intents of whose rows, given by shard, none is open. Call it while no process of the job runs."""
    for path, intent in read_intents(storage).items():
        if not any(is_open(shard_id, merge(ranges)) for shard_id, ranges in intent.rows.items()):
            storage.delete(path)
