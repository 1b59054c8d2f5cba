"""What failed against what may fail, while a job runs and at its end."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from jobs.failures import failures_of
from jobs.pending import bad_shards
from pipeline.intervals import Range, merge, of_numbers
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.receipts import Receipt, live
from pipeline.records import RowStatus
from pipeline.spec import FailuresConfig

_EXAMPLES = 3
_SCANNED = 100_000
"""Most failures that are looked at for a message."""


class FailureBudget:
    """Judges a job by its receipts; remembers the parts it has looked into."""

    def __init__(self, allowed: FailuresConfig, ledger: Ledger) -> None:
        self._allowed, self._ledger = allowed, ledger
        self._failed: dict[str, dict[str, tuple[Range, ...]]] = {}

    def exceeded_so_far(self, progress: Progress) -> str | None:
        """Return in words why a running job that got so far should not go on, or None.

        A share, and that every row fails, is judged once `share_after_rows` rows are committed.
        """
        judged = progress.rows_committed >= self._allowed.share_after_rows
        return self._explained(self._rows_exceeded(progress, share=judged) or self._run_exceeded())

    def exceeded(self, plan: Plan) -> str | None:
        """Return in words what failed beyond the budget at a job's end, or None. That every row fails always is."""
        bad = bad_shards(plan, self._ledger)
        if len(bad) > self._allowed.max_bad_shards:
            allowed = self._allowed.max_bad_shards
            return f"{len(bad)} bad shards, but failures.max_bad_shards is {allowed}; see 'mue failures'"
        return self._explained(self._rows_exceeded(self._ledger.progress(), share=True) or self._run_exceeded())

    def _rows_exceeded(self, progress: Progress, *, share: bool) -> str | None:
        allowed = self._allowed
        failed, rows = progress.rows_failed, progress.rows_committed
        if share and failed and failed == rows:
            return f"every one of {rows} rows failed"
        if allowed.max_failed_rows is not None and failed > allowed.max_failed_rows:
            return f"{failed} of {rows} rows failed, but failures.max_failed_rows is {allowed.max_failed_rows}"
        # Not share * rows: 0.29 * 100 is a little less than 29.
        if share and failed and failed / rows > allowed.max_failed_share:
            return f"{failed} of {rows} rows failed, but failures.max_failed_share is {allowed.max_failed_share}"
        return None

    def _run_exceeded(self) -> str | None:
        """Whether too many rows of a shard failed one after the other; only this opens parts, and each once."""
        limit = self._allowed.max_consecutive_failed
        if limit is None:
            return None
        by_shard: dict[str, list[Range]] = {}
        for receipt in live(self._ledger.receipts()):
            for shard_id, ranges in self._failed_in(receipt).items():
                by_shard.setdefault(shard_id, []).extend(ranges)
        for shard_id, found in sorted(by_shard.items()):
            for start, stop in merge(found):
                if stop - start > limit:
                    rows = f"rows {start}-{stop - 1} of shard {shard_id} all failed"
                    return f"{rows}, but failures.max_consecutive_failed is {limit}"
        return None

    def _failed_in(self, receipt: Receipt) -> dict[str, tuple[Range, ...]]:
        """Return the failed rows of a receipt's part, by shard."""
        if receipt.part is None or not receipt.part.failed:
            return {}
        if receipt.id not in self._failed:
            table = self._ledger.read_part(receipt, ["shard_id", "row_in_shard", "status"])
            numbers: dict[str, list[int]] = {}
            for row in table.to_pylist():
                if row["status"] == RowStatus.FAILED:
                    numbers.setdefault(row["shard_id"], []).append(row["row_in_shard"])
            self._failed[receipt.id] = {shard_id: of_numbers(rows) for shard_id, rows in numbers.items()}
        return self._failed[receipt.id]

    def _explained(self, reason: str | None) -> str | None:
        """Add which codes there were, and the first examples."""
        if reason is None:
            return None
        rows = [found for found in islice(failures_of(self._ledger), _SCANNED) if found.kind == "row"]
        codes = ", ".join(f"{code} {count}" for code, count in Counter(row.code for row in rows).most_common())
        examples = "; ".join(f"{row.id} {row.code}: {row.message}" for row in rows[:_EXAMPLES])
        return f"{reason} ({codes}; first {examples}); see 'mue failures'"
