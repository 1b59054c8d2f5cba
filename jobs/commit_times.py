"""When a job committed, and how fast: from its receipts and the times at which the store took them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from jobs.file_times import file_times
from pipeline.compaction import FOLDER as COMPACT
from pipeline.ledger import Ledger
from pipeline.publish import receipt_path

RATE_WINDOW_S = 600.0
"""Rows per second are those of the last so many seconds of commits."""


def commit_times(ledger: Ledger) -> dict[str, datetime.datetime]:
    """Return when each receipt, or compact file of receipts, was written, by path and the store's clock."""
    return {**file_times(ledger, "done"), **file_times(ledger, COMPACT)}


def recent_rate(ledger: Ledger, times: Mapping[str, datetime.datetime]) -> float | None:
    """Return rows per second over the last minutes of commits; None where there are too few to tell.

    Only times of one clock, the store's, are compared. Receipts that were compacted since do not count.
    """
    rows = {receipt_path(receipt.id): receipt.part.rows for receipt in ledger.receipts() if receipt.part is not None}
    commits = sorted((at, rows[path]) for path, at in times.items() if path in rows)
    if not commits:
        return None
    newest = commits[-1][0]
    recent = [(at, count) for at, count in commits if (newest - at).total_seconds() <= RATE_WINDOW_S]
    seconds = (newest - recent[0][0]).total_seconds()
    # The first one's rows were made before the time that is counted.
    return sum(count for _, count in recent[1:]) / seconds if seconds > 0 else None
