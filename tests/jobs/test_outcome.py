from __future__ import annotations

from typing import Any

from jobs.outcome import judged, stopped
from jobs.stopping import StopCause
from pipeline.exit_codes import ExitCode
from pipeline.spec import FailuresConfig


def test_the_end_of_a_job_is_judged_by_its_budget(finished: Any) -> None:
    good = judged(FailuresConfig(), finished.plan, finished.ledger, shards_opened=2)
    assert (good.exit_code, good.reason, good.shards_opened) == (ExitCode.OK, "", 2)
    bad = judged(FailuresConfig(max_failed_rows=0), finished.plan, finished.ledger, shards_opened=2)
    assert bad.exit_code is ExitCode.FAILURE_BUDGET
    assert "1 of 10 rows failed" in bad.reason


def test_a_stop_says_what_is_committed_and_how_to_go_on(job: Any) -> None:
    job.commit_shard("000000-a")
    cause = StopCause(exit_code=ExitCode.INTERRUPTED, reason="stopped by SIGTERM")
    assert stopped(cause, job.ledger).reason == (
        "stopped by SIGTERM: 5 rows are committed and stay so; the same command resumes"
    )
    over = stopped(StopCause(exit_code=ExitCode.FAILURE_BUDGET, reason="9 rows failed"), job.ledger)
    assert over.exit_code is ExitCode.FAILURE_BUDGET
    assert over.reason.endswith("mend the cause or raise the limit, and the same command goes on")
