"""When a job committed, and how fast: from its receipts and the times at which the store took them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jobs.file_times import file_times
from pipeline.compaction import FOLDER as COMPACT
from pipeline.ledger import Ledger
from pipeline.publish import receipt_path
from pipeline.receipts import Receipt

RATE_WINDOW_S = 600.0
"""Rows per second are those of the last so many seconds of commits."""


def commit_times(ledger: Ledger) -> dict[str, datetime.datetime]:
    """Return when each receipt, or compact file of receipts, was written, by path and the store's clock."""
    return {**file_times(ledger, "done"), **file_times(ledger, COMPACT)}


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Rows that a store took at one moment of its clock."""

    at: datetime.datetime
    receipt: Receipt
    rows: int


def recent_commits(
    ledger: Ledger, times: Mapping[str, datetime.datetime], counts: Callable[[Receipt], bool] = lambda receipt: True
) -> list[Commit]:
    """Return the commits of the last minutes, oldest first, of those that count.

    Only times of one clock, the store's, are compared. Receipts that were compacted since are not among them.
    """
    found = [
        Commit(at=at, receipt=receipt, rows=receipt.part.rows)
        for receipt in ledger.receipts()
        if receipt.part is not None and (at := times.get(receipt_path(receipt.id))) is not None and counts(receipt)
    ]
    found.sort(key=lambda commit: (commit.at, commit.receipt.id))
    return [commit for commit in found if (found[-1].at - commit.at).total_seconds() <= RATE_WINDOW_S]


def rate_of(commits: Sequence[Commit]) -> float | None:
    """Return rows per second between the first and the last commit; None where there is no time between them."""
    seconds = (commits[-1].at - commits[0].at).total_seconds() if commits else 0.0
    # The first one's rows were made before the time that is counted.
    return sum(commit.rows for commit in commits[1:]) / seconds if seconds > 0 else None


def recent_rate(ledger: Ledger, times: Mapping[str, datetime.datetime]) -> float | None:
    """Return rows per second over the last minutes of commits; None where there are too few to tell."""
    return rate_of(recent_commits(ledger, times))


def segment_of(receipt: Receipt, attempt: str) -> int | None:
    """Return the segment of `attempt` that committed it; None if another attempt did."""
    rest = receipt.id.removeprefix(f"{attempt}-")
    number = rest.partition("-")[0]
    return int(number) if rest != receipt.id and number.isdecimal() else None
