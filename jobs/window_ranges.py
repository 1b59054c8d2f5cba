"""Which rows of a finished job its timing windows run: stretches of consecutive ones, spread evenly over its shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.intervals import Range, Ranges, merge

WINDOW_IMAGES = 2048
"""Images that are read for each window; a process cuts its windows from what comes."""


def window_ranges(totals: Mapping[str, int], windows: int, *, images: int = WINDOW_IMAGES) -> dict[str, Ranges]:
    """Return the ranges of row_in_shard to read, by shard.

    Args:
        totals: Rows of each shard, in the plan's order.
        windows: Stretches.
        images: Rows of each stretch, fewer where the job has not so many.
    """
    whole = sum(totals.values())
    length = min(images, whole // windows) if windows else 0
    starts = [whole * number // windows for number in range(windows)]
    wanted = merge((start, start + length) for start in starts)
    return _by_shard(wanted, totals)


def _by_shard(wanted: Sequence[Range], totals: Mapping[str, int]) -> dict[str, Ranges]:
    """Ranges over all rows of a job, as ranges in its shards."""
    found, before = {}, 0
    for shard_id, total in totals.items():
        own = merge((max(start, before) - before, min(stop, before + total) - before) for start, stop in wanted)
        if own:
            found[shard_id] = own
        before += total
    return found
