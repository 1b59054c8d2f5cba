"""The ledger as a Ray Data sink: one write task commits one part and its receipt."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from ray.data import Datasink
from ray.data._internal.execution.interfaces import TaskContext

from pipeline.ledger import Ledger
from pipeline.patience import patiently
from pipeline.storage import Storage


class LedgerSink(Datasink[int]):
    """Commits `COMMIT_SCHEMA` tables. A retried task writes under the same name, so it changes nothing."""

    def __init__(self, output: str, *, fingerprint: str, attempt: str, segment: int, rows_per_part: int) -> None:
        self._output, self._fingerprint = output, fingerprint
        self._attempt, self._segment, self._rows_per_part = attempt, segment, rows_per_part

    def get_name(self) -> str:
        """Name of the write tasks in Ray's logs."""
        return "Commit"

    @property
    def min_rows_per_write(self) -> int:
        """Rows that Ray gathers before it starts a write task."""
        return self._rows_per_part

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> int:
        """Commit all blocks of one write task as one part; returns its rows."""
        table = pa.concat_tables(list(blocks))
        name = f"{self._attempt}-{self._segment:04d}-{ctx.task_idx:06d}"
        ledger = Ledger(Storage.open(self._output))
        receipt = patiently(
            lambda: ledger.commit(table, name=name, attempt=self._attempt, fingerprint=self._fingerprint)
        )
        return receipt.part.rows if receipt.part else 0
