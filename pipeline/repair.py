"""Repair: a part that holds rows of an earlier receipt is written anew without them, a damaged one is withdrawn."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.canonical_json import digest_of
from pipeline.commit_table import CommitTable, ranges_of
from pipeline.intervals import Ranges, contains, merge
from pipeline.progress import Overlap
from pipeline.publish import publish_or_yield
from pipeline.receipts import LedgerError, Part, Receipt, succession
from pipeline.records import ROW_SCHEMA
from pipeline.storage import Storage

_REPAIRED = re.compile(r"^(?P<base>.*)\.r(?P<turn>\d+)$")


def repair_once(storage: Storage, receipts: Sequence[Receipt], overlaps: Sequence[Overlap]) -> list[Receipt]:
    """Give each loser of `overlaps` a receipt that replaces its part by one without the lost rows.

    Where another process has repaired a loser already, its receipt stands and is not returned.
    """
    by_id = {receipt.id: receipt for receipt in receipts}
    lost: dict[str, dict[str, list[Ranges]]] = {}
    for overlap in overlaps:
        lost.setdefault(overlap.loser, {}).setdefault(overlap.shard_id, []).append(overlap.rows)
    written = []
    for loser, shards in sorted(lost.items()):
        merged = {shard_id: merge(row for rows in found for row in rows) for shard_id, found in shards.items()}
        receipt = _rewrite(storage, by_id[loser], merged)
        if receipt is not None:
            written.append(receipt)
    return written


def withdraw(storage: Storage, receipt: Receipt) -> Receipt | None:
    """Give `receipt` a successor without rows, so that its part no longer counts and its rows are missing.

    What it knew of shards' ends stays known. Returns None where another process has replaced it already.
    """
    assert receipt.part is not None
    nothing = CommitTable(ROW_SCHEMA.empty_table(), {}, receipt.totals, receipt.shards)
    return publish_or_yield(
        storage, nothing, name=_next_name(receipt.id), attempt=receipt.attempt, replaces=succession([receipt])
    )


def read_part(storage: Storage, part: Part, receipt_id: str) -> pa.Table:
    """Return a part's rows, or raise `LedgerError` if the file is not the one that was committed."""
    data = storage.read(part.path)
    if digest_of(data) != part.sha256:
        raise LedgerError(
            f"{storage.url}/{part.path} is not the file that done/{receipt_id}.json committed (its SHA-256 differs); "
            f"restore it, or have 'mue repair {storage.url} --apply' withdraw it and run again to compute its rows anew"
        )
    return pq.read_table(pa.BufferReader(data))


def _rewrite(storage: Storage, loser: Receipt, lost: dict[str, Ranges]) -> Receipt | None:
    assert loser.part is not None
    rows = read_part(storage, loser.part, loser.id)
    identities = zip(rows["shard_id"].to_pylist(), rows["row_in_shard"].to_pylist(), strict=True)
    kept = rows.filter(
        pa.array([not contains(lost.get(shard_id, ()), row) for shard_id, row in identities], pa.bool_())
    )
    content = CommitTable(kept, ranges_of(kept), loser.totals, loser.shards)
    return publish_or_yield(
        storage, content, name=_next_name(loser.id), attempt=loser.attempt, replaces=succession([loser])
    )


def _next_name(receipt_id: str) -> str:
    """`a` -> `a.r1` -> `a.r2`: the same for every process, so that only one repair of a part counts."""
    match = _REPAIRED.match(receipt_id)
    return f"{match['base']}.r{int(match['turn']) + 1}" if match else f"{receipt_id}.r1"
