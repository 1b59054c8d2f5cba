"""What became of the rows of a job: which are lost, duplicated or misplaced beside an undisturbed run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

SAME = (
    *("shard_id", "row_in_shard", "key", "image_sha256", "status", "text", "finish_reason"),
    *("image_layers_run", "text_layers_run", "decoder_layers_run", "flops_executed", "flops_full_same_length"),
)
"""What a row must have in common with the undisturbed run, beside the uid."""
ERROR = ("error_stage", "error_code", "error_message", "attempts")

Row = dict[str, Any]


def by_uid(rows: Iterable[Row]) -> dict[str, Row]:
    """Return of each row what must not change."""
    return {row["uid"]: {name: row[name] for name in SAME} for row in rows}


def what_differs(row: Row, undisturbed: dict[str, Row]) -> str:
    """Return in words what a row has otherwise than in the undisturbed run; an error too, where it has one."""
    before = undisturbed.get(row["uid"], {})
    found = [f"{name} {before.get(name)!r} -> {row[name]!r}" for name in SAME if before.get(name) != row[name]]
    return "; ".join([*found, *(f"{name} {row[name]!r}" for name in ERROR if row.get(name) is not None)])


def faults_of(rows: list[Row], undisturbed: dict[str, Row]) -> dict[str, list[str]]:
    """Return the uids of the rows that are lost, there more than once, or differ from `undisturbed` (`by_uid`)."""
    times = Counter(row["uid"] for row in rows)
    differ = {row["uid"] for row in rows if undisturbed.get(row["uid"]) != {name: row[name] for name in SAME}}
    return {
        "lost": sorted(undisturbed.keys() - times.keys()),
        "duplicated": sorted(uid for uid, number in times.items() if number > 1),
        "misplaced": sorted(differ),
    }
