"""Where a job stands, told from its output folder alone; works from another machine."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Group
from rich.text import Text

from jobs.job_folder import last_commit, row_total, run_facts
from jobs.progress import duration
from jobs.summary import Summary, summarise
from jobs.summary_view import summary_facts, summary_table
from jobs.terminal import pairs_table
from pipeline.ledger import MANIFEST, Ledger

State = Literal["planned", "running?", "interrupted", "finished", "bad"]
RECENT_S = 180.0
"""A commit or a start younger than this suggests that the job is running; nothing in the folder proves it."""
_MEANING: dict[State, str] = {
    "planned": "nothing is committed yet",
    "running?": "it started or committed a moment ago, so it is probably running",
    "interrupted": "rows are missing and nothing is running, as far as can be seen; the same 'mue run' command resumes",
    "finished": "every row is committed exactly once",
    "bad": "it ended, but some shards are corrupt: their good rows are kept; see 'mue failures'",
}


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
    summary: Summary


def status_of(ledger: Ledger, *, now: datetime.datetime | None = None) -> JobStatus:
    """Return the status of the job in `ledger`'s folder."""
    summary = summarise(ledger)
    newest = last_commit(ledger)
    now = now or datetime.datetime.now(datetime.UTC)
    age_s = None if newest is None else max(0.0, (now - newest).total_seconds())
    total = row_total(ledger.plan(), ledger.progress())
    return JobStatus(
        output=ledger.storage.url,
        state=_state(ledger, summary, newest, now),
        rows_total=total.rows,
        rows_total_estimated=total.estimated,
        last_commit_age_s=age_s,
        summary=summary,
    )


def _state(ledger: Ledger, summary: Summary, newest: datetime.datetime | None, now: datetime.datetime) -> State:
    # Receipts decide: one that was deleted since leaves rows missing whatever the manifest says.
    if ledger.storage.exists(MANIFEST) and summary.shards_done == summary.shards_total:
        return "bad" if summary.shards_bad else "finished"
    run = run_facts(ledger)
    signs = [sign for sign in (newest, _began(run)) if sign is not None]
    if not signs:
        return "planned"
    ended = run.get("exit_code") is not None
    return "interrupted" if ended or (now - max(signs)).total_seconds() > RECENT_S else "running?"


def _began(run: dict[str, Any]) -> datetime.datetime | None:
    """When the last attempt began: it may be loading the model and have committed nothing yet."""
    attempts = run.get("attempts") or [{}]
    try:
        began = datetime.datetime.fromisoformat(str(attempts[-1].get("began")))
    except ValueError:
        return None
    return began if began.tzinfo else began.replace(tzinfo=datetime.UTC)


def status_facts(status: JobStatus) -> dict[str, Any]:
    """Return the status ready for JSON."""
    return {
        "output": status.output,
        "state": status.state,
        "rows_total": status.rows_total,
        "rows_total_estimated": status.rows_total_estimated,
        "last_commit_age_s": status.last_commit_age_s,
        "summary": summary_facts(status.summary),
    }


def status_view(status: JobStatus) -> Group:
    """Return the status for people."""
    about = "~" if status.rows_total_estimated else ""
    total = "unknown" if status.rows_total is None else f"{about}{status.rows_total:,}"
    head = [
        ("job", status.output),
        ("state", f"{status.state}: {_MEANING[status.state]}"),
        ("rows committed", f"{status.summary.rows:,} of {total}"),
    ]
    if status.last_commit_age_s is not None:
        head.append(("last commit", f"{duration(status.last_commit_age_s)} ago"))
    return Group(pairs_table(head), Text(), summary_table(status.summary))
