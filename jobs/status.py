"""Where a job stands, told from its output folder alone; works from another machine."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.text import Text

from jobs.commit_times import commit_times, recent_rate
from jobs.job_folder import row_total, run_facts
from jobs.job_state import MEANING, State, state_of
from jobs.progress import duration
from jobs.summary import Summary, summarise
from jobs.summary_view import summary_facts, summary_table
from jobs.terminal import pairs_table
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger

OVER_BUDGET = ": more rows or shards failed than the settings allow; see 'mue failures'"


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """The state of a job and what it has done."""

    output: str
    state: State
    rows_total: int | None
    """None while nothing is known."""
    rows_total_estimated: bool
    last_commit_age_s: float | None
    """None before the first commit."""
    driver: str | None
    """The process that works on it, and since when; None where none does."""
    attempts: int
    """How often the job was started."""
    exit_code: int | None
    """Of the last attempt; None while it runs, or where it could not record its end."""
    rows_per_s: float | None
    """Rows of the last minutes of commits; None while it does not run or too few are committed."""
    eta_s: float | None
    """Seconds left at that rate; None while unknown."""
    summary: Summary


def status_of(ledger: Ledger, *, now: datetime.datetime | None = None) -> JobStatus:
    """Return the status of the job in `ledger`'s folder."""
    plan, progress, times = ledger.plan(), ledger.progress(), commit_times(ledger)
    now = now or datetime.datetime.now(datetime.UTC)
    newest = max(times.values(), default=None)
    job = state_of(ledger, plan, progress, times.values(), now=now)
    total = row_total(plan, progress)
    rate = recent_rate(ledger, times) if job.active else None
    left = None if total.rows is None else total.rows - progress.rows_committed
    run = run_facts(ledger)
    return JobStatus(
        output=ledger.storage.url,
        state=job.state,
        rows_total=total.rows,
        rows_total_estimated=total.estimated,
        last_commit_age_s=None if newest is None else max(0.0, (now - newest).total_seconds()),
        driver=job.driver,
        attempts=len(run.get("attempts", [])),
        exit_code=None if job.active else run.get("exit_code"),
        rows_per_s=rate,
        eta_s=left / rate if left is not None and rate else None,
        summary=summarise(ledger),
    )


def status_facts(status: JobStatus) -> dict[str, Any]:
    """Return the status ready for JSON."""
    return {
        "output": status.output,
        "state": status.state,
        "rows_total": status.rows_total,
        "rows_total_estimated": status.rows_total_estimated,
        "last_commit_age_s": status.last_commit_age_s,
        "driver": status.driver,
        "attempts": status.attempts,
        "exit_code": status.exit_code,
        "rows_per_s": status.rows_per_s,
        "eta_s": status.eta_s,
        "summary": summary_facts(status.summary),
    }


def status_view(status: JobStatus) -> Group:
    """Return the status for people."""
    about = "~" if status.rows_total_estimated else ""
    total = "unknown" if status.rows_total is None else f"{about}{status.rows_total:,}"
    head = [
        ("job", status.output),
        ("state", f"{status.state}: {MEANING[status.state]}"),
        ("rows committed", f"{status.summary.rows:,} of {total}"),
    ]
    if status.driver is not None:
        head.append(("driver", status.driver))
    if status.rows_per_s is not None:
        left = f", {about}{duration(status.eta_s)} left" if status.eta_s is not None else ""
        head.append(("rows per second", f"{status.rows_per_s:,.2f} of late{left}"))
    if status.attempts > 1:
        head.append(("attempts", f"{status.attempts:,}"))
    if status.exit_code is not None:
        over = status.exit_code == ExitCode.FAILURE_BUDGET
        head.append(("exit code", f"{status.exit_code}{OVER_BUDGET if over else ''}"))
    if status.last_commit_age_s is not None:
        head.append(("last commit", f"{duration(status.last_commit_age_s)} ago"))
    return Group(pairs_table(head), Text(), summary_table(status.summary))
