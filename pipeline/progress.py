"""How far a job is, computed from receipts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.intervals import Range, Ranges, intersect, length, merge, subtract
from pipeline.plan import Plan
from pipeline.receipts import LedgerError, Receipt, ShardOutcome, by_precedence, live
from pipeline.records import ShardState


@dataclass(frozen=True)
class ShardProgress:
    """What is committed of one shard."""

    done: Ranges = ()
    """Committed rows as merged ranges of row_in_shard."""
    total: int | None = None
    """Rows of the shard; None until its end was reached."""
    outcome: ShardOutcome | None = None
    """How its reading ended; None until its end was reached."""

    @property
    def finished(self) -> bool:
        """Whether the total is known and every row below it is committed."""
        return self.total is not None and self.done == (((0, self.total),) if self.total else ())

    @property
    def gaps(self) -> Ranges:
        """Rows below the known total that are not committed."""
        return subtract(((0, self.total),), self.done) if self.total else ()

    @property
    def excess(self) -> Ranges:
        """Committed rows at or above the known total."""
        return () if self.total is None else subtract(self.done, ((0, self.total),) if self.total else ())


@dataclass(frozen=True)
class Progress:
    """What is committed of a job."""

    shards: dict[str, ShardProgress]
    """By shard_id; shards of which nothing is known yet are absent."""
    rows_failed: int = 0
    """Committed rows with status `failed`; before `repair`, one that two parts hold counts twice."""
    rows_per_image: float = 1.0
    """Queries that an image of the live parts has on average; 1 where there are none."""

    @property
    def images_committed(self) -> int:
        """Input images committed, with all their queries; one counts once even where two parts hold it."""
        return sum(length(shard.done) for shard in self.shards.values())

    @property
    def rows_committed(self) -> int:
        """Rows committed, one for each query of an image; exact where no two parts hold the same image."""
        return round(self.images_committed * self.rows_per_image)

    def of(self, shard_id: str) -> ShardProgress:
        """Return one shard's progress."""
        return self.shards.get(shard_id, ShardProgress())

    def unfinished(self, plan: Plan) -> dict[str, list[Range]]:
        """Return, for each shard of `plan` that is not finished, the done ranges to skip; in plan order."""
        return {
            shard.shard_id: list(self.of(shard.shard_id).done)
            for shard in plan.shards
            if not self.of(shard.shard_id).finished
        }


@dataclass(frozen=True)
class Overlap:
    """Rows that two live receipts hold; `keeper` keeps them."""

    shard_id: str
    rows: Ranges
    keeper: str
    loser: str


def progress_of(receipts: Sequence[Receipt]) -> Progress:
    """Return the progress that `receipts` prove.

    Raises:
        LedgerError: Two receipts give different totals for the same intact shard.
    """
    ranges: dict[str, list[Range]] = {}
    for receipt in live(receipts):
        for shard_id, rows in receipt.ranges.items():
            ranges.setdefault(shard_id, []).extend(rows)
    ends: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        for shard_id in receipt.totals:
            ends.setdefault(shard_id, []).append(receipt)
    shards = {}
    for shard_id in sorted(ranges.keys() | ends.keys()):
        total, outcome = _settle(shard_id, ends.get(shard_id, []))
        shards[shard_id] = ShardProgress(merge(ranges.get(shard_id, [])), total, outcome)
    parts = [(receipt.part, sum(map(length, receipt.ranges.values()))) for receipt in live(receipts) if receipt.part]
    images = sum(held for _, held in parts)
    return Progress(
        shards,
        rows_failed=sum(part.failed for part, _ in parts),
        rows_per_image=max(1.0, sum(part.rows for part, _ in parts) / images) if images else 1.0,
    )


def _settle(shard_id: str, receipts: list[Receipt]) -> tuple[int | None, ShardOutcome | None]:
    """One total and outcome from all: an intact reading beats a bad one, of bad ones the longest counts."""
    if not receipts:
        return None, None
    intact = [receipt for receipt in receipts if receipt.shards[shard_id].state is ShardState.DONE]
    if len({receipt.totals[shard_id] for receipt in intact}) > 1:
        counts = ", ".join(f"{receipt.totals[shard_id]} rows (done/{receipt.id}.json)" for receipt in intact)
        raise LedgerError(
            f"shard {shard_id} was read to its end with different totals: {counts}; it changed, so use another --output"
        )
    best = max(intact or receipts, key=lambda receipt: receipt.totals[shard_id])
    return best.totals[shard_id], best.shards[shard_id]


def overlaps_of(receipts: Sequence[Receipt]) -> list[Overlap]:
    """Return every overlap between live receipts, each loser's rows attributed to one keeper."""
    alive = {receipt.id for receipt in live(receipts)}
    holders: dict[str, list[Receipt]] = {}
    for receipt in by_precedence(receipts):
        if receipt.id in alive:
            for shard_id in receipt.ranges:
                holders.setdefault(shard_id, []).append(receipt)
    found: list[Overlap] = []
    for shard_id in sorted(holders):
        ranges = [row for receipt in holders[shard_id] for row in receipt.ranges[shard_id]]
        # The common case, no overlap, costs one sort.
        if length(ranges) != length(merge(ranges)):
            found.extend(_overlaps_in(shard_id, holders[shard_id]))
    return found


def _overlaps_in(shard_id: str, receipts: list[Receipt]) -> list[Overlap]:
    found = []
    taken: Ranges = ()
    for index, loser in enumerate(receipts):
        left = loser.ranges[shard_id]
        for keeper in receipts[:index] if intersect(left, taken) else ():
            rows = intersect(left, keeper.ranges[shard_id])
            if rows:
                found.append(Overlap(shard_id, rows, keeper.id, loser.id))
                left = subtract(left, rows)
        taken = merge((*taken, *left))
    return found
