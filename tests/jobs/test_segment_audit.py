"""Processes are told what the plan fixes, and how many rows they will get where that is known."""

from __future__ import annotations

from typing import Any

from jobs.segment_audit import actor_audit, shadows_alone
from pipeline.shard_read import ShardRead
from pipeline.spec import ActorsConfig

READS = [
    ShardRead(shard_id="000000-a", url="in/a.tar", size=1, skip=((0, 10), (90, 200))),
    ShardRead(shard_id="000001-b", url="in/b.tar", size=1),
]


def planned(job: Any, *rows: int | None, **audit: Any) -> Any:
    shards = tuple(shard.model_copy(update={"rows": count}) for shard, count in zip(job.plan.shards, rows, strict=True))
    return job.plan.model_copy(update={"shards": shards, **audit})


def test_a_plan_without_an_audit_tells_processes_nothing(job: Any) -> None:
    assert actor_audit(planned(job, 100, 40), job.ledger.progress(), READS, ActorsConfig()) is None


def test_rates_windows_and_rows_of_each_process(job: Any) -> None:
    plan = planned(job, 100, 40, audit_rates={"deep": 0.1}, audit_windows=3, audit_seed=8)
    found = actor_audit(plan, job.ledger.progress(), READS, ActorsConfig(min=1, max=2))
    assert found is not None
    assert (found.shadows.seed, found.shadows.rates["deep"], found.shadows.rates["shallow"]) == (8, 0.1, 0.0)
    assert (found.shadows.encoder_layers, found.shadows.decoder_layers) == (6, 4)
    assert (found.windows, found.rows_expected, found.purpose) == (3, (80 + 40) // 2, "run")


def test_rows_that_are_run_again_are_shadowed_by_the_same_rule_and_not_timed(job: Any) -> None:
    plan = planned(job, 100, 40, audit_rates={"deep": 0.1}, audit_windows=3, audit_seed=8)
    found, whole = shadows_alone(plan), actor_audit(plan, job.ledger.progress(), READS, ActorsConfig())
    assert found is not None
    assert whole is not None
    assert (found.shadows, found.windows) == (whole.shadows, 0)
    assert shadows_alone(planned(job, 100, 40, audit_windows=3)) is None


def test_rows_are_unknown_where_one_shard_s_are(job: Any) -> None:
    plan = planned(job, 100, None, audit_windows=3)
    found = actor_audit(plan, job.ledger.progress(), READS, ActorsConfig())
    assert found is not None
    assert found.rows_expected is None
