"""How a run or a retry ended, in an exit code and in words."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.failure_budget import FailureBudget
from jobs.stopping import StopCause
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.spec import FailuresConfig


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How a run ended."""

    exit_code: ExitCode
    reason: str = ""
    """Why, where the exit code is not 0."""
    shards_opened: int = 0


def judged(failures: FailuresConfig, plan: Plan, ledger: Ledger, *, shards_opened: int) -> JobOutcome:
    """Return the outcome of a job that got to its end."""
    reason = FailureBudget(failures, ledger).exceeded(plan)
    exit_code = ExitCode.FAILURE_BUDGET if reason else ExitCode.OK
    return JobOutcome(exit_code=exit_code, reason=reason or "", shards_opened=shards_opened)


def stopped(cause: StopCause, ledger: Ledger) -> JobOutcome:
    """Return the outcome of a job that was stopped before its end."""
    kept = f"{ledger.progress().rows_committed:,} rows are committed and stay so"
    over = cause.exit_code is ExitCode.FAILURE_BUDGET
    way_on = "mend the cause or raise the limit, and the same command goes on" if over else "the same command resumes"
    return JobOutcome(exit_code=cause.exit_code, reason=f"{cause.reason}: {kept}; {way_on}")
