"""Row identity: uid = `<shard_id>/<row_in_shard>/<query>`, shard_id = `<index in the plan>-<file stem>`.

Keys repeat across shards and inside one, so a key never identifies a row.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

_UID = re.compile(r"^(?P<shard_id>\d{6,}-[^/]*)/(?P<row>\d+)/(?P<query>\d+)$")


class RowId(NamedTuple):
    """The three parts of a uid."""

    shard_id: str
    row_in_shard: int
    query: int


def is_local(url: str) -> bool:
    """Return whether `url` is a plain path."""
    return "://" not in url


def shard_id_of(index: int, url: str) -> str:
    """Return the shard_id of the `index`-th shard of a plan; unique even where two folders hold `00000.tar`."""
    path = url if is_local(url) else url.split("?", 1)[0]
    name = posixpath.basename(path.rstrip("/"))
    return f"{index:06d}-{name.split('.', 1)[0]}"


def uid_of(shard_id: str, row_in_shard: int, query: int = 0) -> str:
    """Return the uid of one row."""
    return f"{shard_id}/{row_in_shard}/{query}"


def parse_uid(uid: str) -> RowId:
    """Return the parts of `uid`, or raise `ValueError` showing the expected form."""
    match = _UID.match(uid)
    if match is None:
        raise ValueError(f"'{uid}' is not a uid; expected <shard_id>/<row_in_shard>/<query>, as in 000000-coco/17/0")
    return RowId(match["shard_id"], int(match["row"]), int(match["query"]))
