"""A job's progress, shown from its output folder alone: by the driver itself, or by `mue status --watch` anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobs.commit_times import commit_times
from jobs.job_folder import row_total
from jobs.job_state import state_of
from jobs.progress import ProgressView
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.progress import Progress

LOOK_SHARE = 20
"""However many receipts there are, looking at them takes no more than one part in so many of the time."""
LONGEST_PAUSE_S = 60.0
"""One look that was slow, as while a machine or a store stalls, must not make whoever looks blind for long."""


def show_progress(view: ProgressView, plan: Plan, committed: Progress) -> None:
    """Show what is committed of `plan`."""
    total = row_total(plan, committed)
    view.update(
        rows_done=committed.rows_committed,
        rows_total=total.rows,
        estimated=total.estimated,
        failed=committed.rows_failed,
        shards_done=len(plan.shards) - len(committed.unfinished(plan)),
        shards_total=len(plan.shards),
    )


def watch(ledger: Ledger, view: ProgressView, *, every_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show the job's progress until nothing works on it any more; opens no data file."""
    plan = ledger.plan()
    while True:
        began = time.monotonic()
        committed = ledger.progress()
        show_progress(view, plan, committed)
        if not state_of(ledger, plan, committed, commit_times(ledger).values()).active:
            return
        sleep(pause_after(time.monotonic() - began, every_s=every_s))


def pause_after(look_s: float, *, every_s: float) -> float:
    """Return how long to wait after a look at the receipts that took `look_s` seconds."""
    return max(every_s, min(LOOK_SHARE * look_s, LONGEST_PAUSE_S))
