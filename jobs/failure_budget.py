"""How a finished run is judged: what failed against what may fail."""

from __future__ import annotations

from jobs.pending import bad_shards
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.spec import FailuresConfig


def over_budget(failures: FailuresConfig, plan: Plan, ledger: Ledger) -> str | None:
    """Return in words what failed beyond the budget, or None. That every row fails is beyond any budget."""
    bad = bad_shards(plan, ledger)
    if len(bad) > failures.max_bad_shards:
        return f"{len(bad)} bad shards, but failures.max_bad_shards is {failures.max_bad_shards}; see 'mue failures'"
    progress = ledger.progress()
    if progress.rows_failed and progress.rows_failed == progress.rows_committed:
        return f"every one of {progress.rows_committed} rows failed; see 'mue failures'"
    if progress.rows_failed > failures.max_failed_share * progress.rows_committed:
        counts = f"{progress.rows_failed} of {progress.rows_committed} rows failed"
        return f"{counts}, but failures.max_failed_share is {failures.max_failed_share}; see 'mue failures'"
    return None
