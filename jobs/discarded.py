"""Work that a job did and that does not count: rows in parts that others replaced, or that never got a receipt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.exact_sum import exact_sum
from pipeline.ledger import Ledger
from pipeline.receipts import LedgerError, Receipt, live

_WHO = ["uid", "attempt_id", "attempts"]


@dataclass(frozen=True, kw_only=True)
class Discarded:
    """Rows that were computed and do not count: in parts that others replaced, or that never got a receipt."""

    rows: int
    flops: int
    """As far as their files are still there."""
    files_unreadable: int
    """Such files that cannot be read any more: their work is not in `flops`."""

    @property
    def is_lower_bound(self) -> bool:
        """Whether more was spent than is known."""
        return self.files_unreadable > 0

    def document(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return asdict(self)


def discarded(ledger: Ledger) -> Discarded:
    """Return the work that was done once more than it counts. What a killed process had in hand left no trace."""
    listed = ledger.storage.list("data")  # before the receipts: a part that is committed meanwhile is no orphan
    receipts = ledger.receipts()
    named = {receipt.part.path for receipt in receipts if receipt.part is not None}
    successors: dict[str, list[Receipt]] = {}
    for receipt in live(receipts):
        for path in receipt.replaces:
            successors.setdefault(path, []).append(receipt)
    lost_parts = [path for receipt in receipts for path in receipt.replaces]
    rows = flops = unreadable = 0
    for path in dict.fromkeys([*lost_parts, *(path for path in listed if path not in named)]):
        table = _read(ledger, path)
        if table is None:
            unreadable += 1
            continue
        lost = table.filter(pc.invert(pc.is_in(_names(table), value_set=_kept_names(ledger, successors.get(path, [])))))
        rows += len(lost)
        flops += exact_sum(lost["flops_executed"])
    return Discarded(rows=rows, flops=flops, files_unreadable=unreadable)


def _read(ledger: Ledger, path: str) -> pa.Table | None:
    try:
        return ledger.read_file(path, [*_WHO, "flops_executed"])
    except LedgerError:
        return None


def _kept_names(ledger: Ledger, receipts: list[Receipt]) -> pa.Array:
    tables = [ledger.read_part(receipt, _WHO) for receipt in receipts]
    return _names(pa.concat_tables(tables)) if tables else pa.array([], pa.string())


def _names(table: pa.Table) -> pa.Array:
    """One text for each computation of a row: a row that was copied into a new part is the same one."""
    columns = [pc.cast(table[name], pa.string()).combine_chunks() for name in _WHO]
    return pc.binary_join_element_wise(*columns, " ")
