"""How many rows a plan has, and how that is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.plan import Plan


@dataclass(frozen=True, kw_only=True)
class RowEstimate:
    """Rows of a job before it has run."""

    rows: int
    """Known and estimated ones."""
    by_source: dict[str, int]
    """Known rows by how they are known (`PlannedShard.rows_from`)."""
    estimated_rows: int
    """Of shards whose rows only reading would tell."""
    estimated_shards: int
    bytes_per_row: float | None
    """By which they were estimated from their sizes; None where none were."""

    @property
    def exact(self) -> bool:
        """Whether every shard's rows are known from itself."""
        return not self.estimated_shards and "side-car" not in self.by_source


def estimate_rows(plan: Plan, sampled_bytes_per_row: float | None) -> RowEstimate:
    """Return the plan's rows; shards of unknown rows are taken to be like the known tars, else like the sample.

    Args:
        plan: With what planning knows.
        sampled_bytes_per_row: Bytes of the rows that were read, as they lie in a shard; None if none were.
    """
    by_source: Counter[str] = Counter()
    known_bytes = known_rows = unknown_bytes = unknown_shards = 0
    for shard in plan.shards:
        if shard.rows is None:
            unknown_bytes += shard.size
            unknown_shards += 1
            continue
        by_source[shard.rows_from or "counted"] += shard.rows
        if shard.rows_from in ("counted", "side-car"):
            known_bytes += shard.size
            known_rows += shard.rows
    per_row = known_bytes / known_rows if known_rows else sampled_bytes_per_row
    estimated = round(unknown_bytes / per_row) if per_row else 0
    return RowEstimate(
        rows=sum(by_source.values()) + estimated,
        by_source=dict(by_source),
        estimated_rows=estimated,
        estimated_shards=unknown_shards,
        bytes_per_row=per_row if unknown_shards else None,
    )
