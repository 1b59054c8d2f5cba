"""Runs the rows of a call so that one which kills or hangs its process is found, and found only once.

Knows tables, not Ray: decode workers and model actors use the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import pyarrow as pa

from pipeline.hand_record import HandRecord, RowKey
from pipeline.intents import Care, Suspects
from pipeline.records import ErrorCode, ErrorStage, RowStatus

Work = Callable[[pa.Table], pa.Table]


class Isolation:
    """Gives `work` the rows of a table in as many pieces as their suspects need, and returns all answers in order."""

    def __init__(self, stage: ErrorStage, record: HandRecord, suspects: Suspects) -> None:
        self._stage, self._record, self._suspects = stage, record, suspects

    def run(self, table: pa.Table, work: Work, careful: Work | None = None) -> pa.Table:
        """Return what `work` gives for the table; quarantined rows reach it as failed ones.

        `careful`, if given, does the work on rows that run alone: nothing but what must be done.
        """
        table = self._with_failures(table)
        pieces = (table.slice(start, stop - start) for start, stop in self._cut(table))
        return pa.concat_tables([self._piece(piece, work, careful or work) for piece in pieces])

    def _piece(self, piece: pa.Table, work: Work, careful: Work) -> pa.Table:
        rows = tuple(row for row in _rows_at_risk(piece) if row is not None)
        if not rows:
            return work(piece)
        care = self._care(rows[0])
        with self._record.holding(rows, care):
            return work(piece) if care < Care.ALONE else careful(piece)

    def _cut(self, table: pa.Table) -> Iterator[tuple[int, int]]:
        return pieces_of([row and self._care(row) for row in _rows_at_risk(table)])

    def _care(self, row: RowKey) -> Care:
        return self._suspects.of(self._stage, *row)

    def _with_failures(self, table: pa.Table) -> pa.Table:
        rows = enumerate(_rows_at_risk(table))
        places = [place for place, row in rows if row and self._care(row) is Care.QUARANTINE]
        return failed_at(table, places, self._stage) if places else table


def pieces_of(cares: Sequence[Care | None]) -> Iterator[tuple[int, int]]:
    """Yield ranges that cover `cares` in order, each of one care; None, a row without risk, goes with any other."""
    half = max(1, (len(cares) + 1) // 2)
    start = 0
    sizes = {Care.HALVES: half, Care.ALONE: 1, Care.AGAIN: 1}
    for care, run in groupby(care or Care.TOGETHER for care in cares):
        stop = start + len(list(run))
        size = sizes.get(care, len(cares))
        for first in range(start, stop, size):
            yield first, min(first + size, stop)
        start = stop
    if not cares:
        yield 0, 0


def failed_at(table: pa.Table, places: Sequence[int], stage: ErrorStage) -> pa.Table:
    """Return `table` with the rows at `places` failed as poison."""
    values = {
        "status": RowStatus.FAILED,
        "error_stage": stage,
        "error_code": ErrorCode.POISON,
        "error_message": "the process died, or was ended as stuck, each time it had this row in hand, the last two "
        "times this row alone; 'mue retry OUT --code poison' tries it again",
    }
    for name, value in values.items():
        column = table[name].to_pylist()
        for place in places:
            column[place] = value
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.array(column, table.schema.field(index).type))
    return table


def _rows_at_risk(table: pa.Table) -> list[RowKey | None]:
    """Return the rows that will be worked on; None for control rows and those that failed before."""
    rows = table.select(["shard_id", "row_in_shard", "status"]).to_pylist()
    return [(row["shard_id"], row["row_in_shard"]) if row["status"] == RowStatus.OK else None for row in rows]
