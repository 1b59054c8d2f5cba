"""The intent file of one process, and who may have rows in hand beside whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from pipeline.intents import FOLDER, Care, Intent
from pipeline.intervals import of_numbers
from pipeline.patience import patiently
from pipeline.records import ErrorStage
from pipeline.storage import Storage

RowKey = tuple[str, int]
"""shard_id and row_in_shard."""


class HandRecord:
    """Rows in hand of one process are in `intents/` before they are worked on; suspects have the process to themselves.

    Threads may hold rows at a time, and share the writes. A record may name rows that were finished a moment ago, never
    fewer than those in hand; what was held with care is taken off at once.
    """

    def __init__(self, storage: Storage, *, stage: ErrorStage, owner: str) -> None:
        """`owner` begins the names of the files, and must be no other live process's."""
        self._storage, self._stage, self._owner = storage, stage, owner
        self._changed = threading.Condition()
        self._held: dict[int, tuple[RowKey, ...]] = {}
        self._exclusive = False
        self._tickets = count()
        self._version = 0
        self._writing = threading.Lock()
        self._written = 0
        self._path: str | None = None

    @contextmanager
    def holding(self, rows: tuple[RowKey, ...], care: Care) -> Iterator[None]:
        """Have `rows` on record inside the block; with more care than `TOGETHER`, and nothing else in hand."""
        exclusive = care > Care.TOGETHER
        ticket = self._enter(rows, exclusive=exclusive)
        try:
            self._record(care)
            yield
        finally:
            with self._changed:
                del self._held[ticket]
                self._version += 1
            try:
                if exclusive:
                    self._record(care)
            finally:
                self._leave(exclusive=exclusive)

    def _enter(self, rows: tuple[RowKey, ...], *, exclusive: bool) -> int:
        with self._changed:
            self._changed.wait_for(lambda: not self._exclusive)
            if exclusive:
                # From here on nobody else comes in.
                self._exclusive = True
                self._changed.wait_for(lambda: not self._held)
            ticket = next(self._tickets)
            self._held[ticket] = rows
            self._version += 1
            return ticket

    def _leave(self, *, exclusive: bool) -> None:
        with self._changed:
            if exclusive:
                self._exclusive = False
            self._changed.notify_all()

    def _record(self, care: Care) -> None:
        """Return once the file names at least what is in hand now; one thread writes for all that wait."""
        with self._changed:
            wanted = self._version
        with self._writing:
            if self._written >= wanted:
                return
            with self._changed:
                version, held = self._version, [row for rows in self._held.values() for row in rows]
            self._replace(held, care, version)
            self._written = version

    def _replace(self, held: list[RowKey], care: Care, version: int) -> None:
        """A new name for each version: some stores take one write a second of the same object."""
        before, self._path = self._path, None
        if held:
            by_shard: dict[str, list[int]] = {}
            for shard_id, row in held:
                by_shard.setdefault(shard_id, []).append(row)
            rows = {shard_id: of_numbers(numbers) for shard_id, numbers in by_shard.items()}
            self._path = f"{FOLDER}/{self._owner}-{version:08d}.json"
            path, intent = self._path, Intent(stage=self._stage, care=care, rows=rows).to_json()
            patiently(lambda: self._storage.write(path, intent))
        if before is not None:
            patiently(lambda: self._storage.delete(before))
