"""How many rows a plan has, and how that is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.plan import Plan


@dataclass(frozen=True, kw_only=True)
class RowEstimate:
    """Rows of a job before it has run."""

    by_source: dict[str, int]
    """Known images by how they are known (`PlannedShard.rows_from`)."""
    estimated_images: int
    """Of shards of which only reading would tell how many they have."""
    estimated_shards: int
    bytes_per_image: float | None
    """By which they were estimated from their sizes; None where none were."""
    rows_per_image: float = 1.0
    """As sampled; more than 1 where an image has several queries."""

    @property
    def images(self) -> int:
        """Known and estimated ones."""
        return sum(self.by_source.values()) + self.estimated_images

    @property
    def rows(self) -> int:
        """Queries about all images."""
        return round(self.images * self.rows_per_image)

    @property
    def exact(self) -> bool:
        """Whether every shard's rows are known from itself."""
        return not self.estimated_shards and "side-car" not in self.by_source and self.rows_per_image == 1


def estimate_rows(plan: Plan, sampled_bytes_per_image: float | None, rows_per_image: float = 1.0) -> RowEstimate:
    """Return the plan's rows; shards of unknown size are taken to be like the known tars, else like the sample.

    Args:
        plan: With what planning knows.
        sampled_bytes_per_image: Bytes of the images that were read, as they lie in a shard; None if none were.
        rows_per_image: Queries of an image of the sample, on average.
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
    each = known_bytes / known_rows if known_rows else sampled_bytes_per_image
    return RowEstimate(
        by_source=dict(by_source),
        estimated_images=round(unknown_bytes / each) if each else 0,
        estimated_shards=unknown_shards,
        bytes_per_image=each if unknown_shards else None,
        rows_per_image=rows_per_image,
    )
