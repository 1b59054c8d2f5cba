"""Whether a shard is still the one that was planned: looked at before its first row is read and after its last.

Rows that were read in between may be of either version, so a shard that changes under its reading is bad: its rows
are there, none is mixed in silently, and the next run names the shard and its two versions.
"""

from __future__ import annotations

from pipeline.plan import PlanError, look_up_shard
from pipeline.records import ShardCode
from pipeline.tar_reader import ShardError


def change_since(url: str, size: int, etag: str | None, *, moment: str) -> ShardError | None:
    """Return what is wrong with the shard if it is not as planned, or None.

    Args:
        url: Where it is.
        size: Its size when it was planned.
        etag: Its version then; None where only the size is known.
        moment: When this is asked, for the message, as in "before it was read".
    """
    try:
        size_now, etag_now = look_up_shard(url)
    except PlanError as error:
        return ShardError(ShardCode.UNREADABLE, f"the shard cannot be looked at {moment}: {error}")
    if (size_now, etag_now) == (size, etag_now if etag is None else etag):
        return None
    planned, now = (_version(*version) for version in ((size, etag), (size_now, etag_now)))
    return ShardError(ShardCode.CHANGED, f"the shard was {planned} when it was planned, and is {now} {moment}")


def _version(size: int, etag: str | None) -> str:
    return f"{size:,} bytes" + (f" (version {etag})" if etag is not None else "")
