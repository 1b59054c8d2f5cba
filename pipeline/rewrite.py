"""Retried rows in the place of failed ones: the part that holds them is written anew, whole, and replaced.

A kill leaves each part either as it was or replaced; nothing is changed in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commit_table import CommitTable, ranges_of, split_commit_table
from pipeline.identity import parse_uid
from pipeline.intervals import Range, Ranges, of_numbers
from pipeline.ledger import Ledger
from pipeline.patience import patiently
from pipeline.publish import publish_or_yield
from pipeline.receipts import Receipt, live, succession
from pipeline.records import ROW_SCHEMA, RowStatus
from pipeline.repair import read_part
from pipeline.rows_wanted import BEYOND

_ORDER = [("shard_id", "ascending"), ("row_in_shard", "ascending"), ("query", "ascending")]


@dataclass(frozen=True)
class FailedRows:
    """Rows of one live part that are to be tried again."""

    receipt: Receipt
    attempts: Mapping[str, int]
    """How often each was tried, by uid."""


def failed_rows(ledger: Ledger, codes: Container[str]) -> list[FailedRows]:
    """Return the failed rows with one of `codes`, by part; only parts with failures are opened."""
    found = []
    for receipt in live(ledger.receipts()):
        if receipt.part is not None and receipt.part.failed:
            table = ledger.read_part(receipt, ["uid", "status", "error_code", "attempts"])
            attempts = {
                row["uid"]: row["attempts"]
                for row in table.filter(pc.equal(table["status"], RowStatus.FAILED.value)).to_pylist()
                if row["error_code"] in codes
            }
            if attempts:
                found.append(FailedRows(receipt, attempts))
    return found


class PartRewriter:
    """Takes new answers in any order; a part is replaced as soon as those of all its wanted rows are there."""

    def __init__(self, ledger: Ledger, wanted: Iterable[FailedRows], *, attempt: str, fingerprint: str) -> None:
        self._ledger, self._attempt, self._fingerprint = ledger, attempt, fingerprint
        self._parts = {part.receipt.id: part for part in wanted}
        self._home = {uid: part.receipt.id for part in self._parts.values() for uid in part.attempts}
        self._open = Counter(parse_uid(uid)[:2] for uid in self._home)
        self._answers: dict[str, list[pa.Table]] = {}
        self.wanted = len(self._home)
        """Rows that are to be answered."""
        self._missing = {name: len(part.attempts) for name, part in self._parts.items()}
        self._numbers = count()
        self.done: dict[RowStatus, int] = dict.fromkeys(RowStatus, 0)
        """Rows that were put in place, by what became of them."""

    def open_rows(self) -> dict[str, Ranges]:
        """Return the rows still to be answered, by shard."""
        numbers: dict[str, list[int]] = {}
        for shard_id, row in self._open:
            numbers.setdefault(shard_id, []).append(row)
        return {shard_id: of_numbers(rows) for shard_id, rows in sorted(numbers.items())}

    def is_open(self, shard_id: str, rows: Ranges) -> bool:
        """Return whether any of these rows of a shard is still to be answered."""
        return any((shard_id, row) in self._open for start, stop in rows for row in range(start, stop))

    def take(self, table: pa.Table) -> None:
        """Take a table of `COMMIT_SCHEMA`; rows that nobody asked for, and control rows, are left alone."""
        answers = split_commit_table(table, fingerprint=self._fingerprint).rows
        homes = [self._home.get(uid) for uid in answers["uid"].to_pylist()]
        for name in dict.fromkeys(home for home in homes if home is not None):
            mine = answers.filter(pa.array([home == name for home in homes], pa.bool_()))
            self._answers.setdefault(name, []).append(mine)
            self._missing[name] -= len(mine)
            for uid in mine["uid"].to_pylist():
                del self._home[uid]
                self._close(uid)
            if not self._missing[name]:
                self._replace(name)

    def finish(self) -> None:
        """Put in place what was answered of parts whose other rows did not come."""
        for name in list(self._answers):
            self._replace(name)

    def _close(self, uid: str) -> None:
        """An image is open as long as one of its queries is."""
        row = parse_uid(uid)[:2]
        self._open[row] -= 1
        if not self._open[row]:
            del self._open[row]

    def _replace(self, name: str) -> None:
        part, answers = self._parts[name], pa.concat_tables(self._answers.pop(name))
        assert part.receipt.part is not None
        before = read_part(self._ledger.storage, part.receipt.part, name)
        kept = before.filter(pc.invert(pc.is_in(before["uid"], value_set=answers["uid"].combine_chunks())))
        attempts = [part.attempts[uid] + 1 for uid in answers["uid"].to_pylist()]
        place = ROW_SCHEMA.get_field_index("attempts")
        answers = answers.set_column(place, answers.schema.field(place), pa.array(attempts, pa.int32()))
        rows = pa.concat_tables([kept, answers.replace_schema_metadata(before.schema.metadata)]).sort_by(_ORDER)
        content = CommitTable(rows, ranges_of(rows), part.receipt.totals, part.receipt.shards)
        replaces = succession([part.receipt])
        name = f"{self._attempt}-retry-{next(self._numbers):06d}"
        storage = self._ledger.storage
        patiently(lambda: publish_or_yield(storage, content, name=name, attempt=self._attempt, replaces=replaces))
        for status in answers["status"].to_pylist():
            self.done[RowStatus(status)] += 1


def skip_all_but(rows: Ranges) -> tuple[Range, ...]:
    """Return the ranges of a shard that a reader must skip to give only `rows`."""
    edges = [0, *(edge for row in rows for edge in row), BEYOND]
    pairs: Sequence[Range] = [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
    return tuple((start, stop) for start, stop in pairs if start < stop)
