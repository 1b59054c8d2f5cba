"""Whether a job runs, has ended, and how, told from its output folder alone; works from another machine."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from jobs.file_times import file_times
from jobs.job_folder import run_facts
from pipeline.exit_codes import ExitCode
from pipeline.lease import FOLDER as LEASE
from pipeline.lease import lease_in_force
from pipeline.ledger import MANIFEST, Ledger
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.records import ShardState

State = Literal["planned", "running", "running?", "interrupted", "failed", "finished", "bad"]
RECENT_S = 180.0
"""A sign of life younger than this suggests that a job on another machine is running."""
MEANING: dict[State, str] = {
    "planned": "nothing is committed yet",
    "running": "its process is at work",
    "running?": "it started, committed or showed life a moment ago, so it is probably running",
    "interrupted": "rows are missing or not yet proven to be there once, and nothing is running, as far as can be "
    "seen; the same 'mue run' command resumes",
    "failed": "it stopped because something went wrong; mend that, and the same 'mue run' command goes on",
    "finished": "every row is committed exactly once",
    "bad": "it ended, but some shards are corrupt: their good rows are kept; see 'mue failures'",
}
_RESUMABLE = (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.SIGINT)


@dataclass(frozen=True, kw_only=True)
class JobState:
    """Where a job stands."""

    state: State
    driver: str | None
    """The process that works on it, and since when; None where none does."""

    @property
    def active(self) -> bool:
        """Whether more may be committed without anybody doing something."""
        return self.state in ("running", "running?")


def state_of(
    ledger: Ledger,
    plan: Plan,
    progress: Progress,
    commits: Collection[datetime.datetime],
    *,
    now: datetime.datetime | None = None,
) -> JobState:
    """Return the state of the job.

    Args:
        ledger: Its output folder.
        plan: Its plan.
        progress: What is committed now.
        commits: When receipts were written, by the store's clock.
        now: The time it is.
    """
    # Receipts decide, whatever the manifest says: one that was deleted since leaves rows missing, and one of a driver
    # that was taken for dead commits rows again.
    if not progress.unfinished(plan) and ledger.storage.exists(MANIFEST) and not ledger.overlaps():
        outcomes = (shard.outcome for shard in progress.shards.values())
        bad = any(outcome is not None and outcome.state is ShardState.BAD for outcome in outcomes)
        return JobState(state="bad" if bad else "finished", driver=None)
    run = run_facts(ledger)
    holder = lease_in_force(ledger.storage)
    life = "gone" if holder is None or holder.released else holder.driver.life()
    driver = None if holder is None or life == "gone" else f"{holder.driver}, since {holder.since}"
    if life == "runs":
        return JobState(state="running", driver=driver)
    signs = [*commits, *_began(run)]
    if life == "unknown":
        signs += file_times(ledger, LEASE).values()
    # Without any lease the folder is one of before there were leases, or somebody else's: then signs must do.
    may_run = life == "unknown" or (holder is None and run.get("exit_code") is None)
    now = now or datetime.datetime.now(datetime.UTC)
    # A clock that was wrong for a while leaves signs of a time to come: they must not speak for life until then.
    if may_run and any(abs((now - sign).total_seconds()) <= RECENT_S for sign in signs):
        return JobState(state="running?", driver=driver)
    if run.get("exit_code") not in (None, *_RESUMABLE):
        return JobState(state="failed", driver=None)
    return JobState(state="interrupted" if signs else "planned", driver=None)


def _began(run: dict[str, Any]) -> list[datetime.datetime]:
    """When the last attempt began: it may be loading the model and have committed nothing yet."""
    attempts = run.get("attempts") or [{}]
    try:
        began = datetime.datetime.fromisoformat(str(attempts[-1].get("began")))
    except ValueError:
        return []
    return [began if began.tzinfo else began.replace(tzinfo=datetime.UTC)]
