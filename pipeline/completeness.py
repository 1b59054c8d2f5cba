"""The proof that a job is complete: the committed rows tile [0, total) of every planned shard."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import some
from pipeline.intervals import Ranges
from pipeline.plan import Plan
from pipeline.progress import Progress, ShardProgress
from pipeline.publish import receipt_path
from pipeline.receipts import LedgerError, Receipt


class IncompleteJob(LedgerError):
    """Rows are missing. `gaps` has them by shard; None stands for a shard whose end was never reached."""

    def __init__(self, message: str, gaps: dict[str, Ranges | None]) -> None:
        super().__init__(message)
        self.gaps = gaps


def prove_complete(plan: Plan, progress: Progress, receipts: Iterable[Receipt], *, where: str) -> None:
    """Return only if every row of every shard of `plan` is committed, and nothing else is.

    That no row is committed twice is `repair`'s part. `receipts`: those that `progress` was told by.

    Raises:
        IncompleteJob: Rows are missing, or a shard's end was never reached.
        LedgerError: Rows are committed that the plan's shards do not have.
    """
    foreign = progress.shards.keys() - {shard.shard_id for shard in plan.shards}
    if foreign:
        named = [(shard_id, receipt.id) for receipt in receipts for shard_id in _shards(receipt) & foreign]
        lines = [f"{shard_id} in {receipt_path(receipt_id)}" for shard_id, receipt_id in sorted(named)]
        raise LedgerError(
            f"{where}: receipts name shards that the plan does not have: {some(lines)}; they are another job's: move "
            "them away, or have the job write into another folder, and run the same command again"
        )
    excess = {shard_id: shard.excess for shard_id, shard in progress.shards.items() if shard.excess}
    if excess:
        lines = [f"{shard_id} rows {_rows(rows)}" for shard_id, rows in excess.items()]
        raise LedgerError(f"{where}: rows beyond their shard's end are committed: {some(lines)}; use another --output")
    unfinished = {shard_id: progress.of(shard_id) for shard_id in progress.unfinished(plan)}
    if unfinished:
        lines = [f"{shard_id} {_missing(shard)}" for shard_id, shard in unfinished.items()]
        raise IncompleteJob(
            f"{where}: {len(unfinished)} of {len(plan.shards)} shards are not complete: {some(lines)}; "
            "run the same command again to do what is missing",
            {shard_id: None if shard.total is None else shard.gaps for shard_id, shard in unfinished.items()},
        )


def _shards(receipt: Receipt) -> set[str]:
    return {*receipt.ranges, *receipt.totals}


def _missing(shard: ShardProgress) -> str:
    if shard.total is None:
        return f"end not reached, committed rows {_rows(shard.done)}" if shard.done else "not begun"
    return f"lacks rows {_rows(shard.gaps)} of {shard.total}"


def _rows(ranges: Ranges) -> str:
    return some([str(start) if stop == start + 1 else f"{start}-{stop - 1}" for start, stop in ranges])
