"""What the model processes of a segment are told about the audit that the plan fixes."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.actor_audit import ActorAudit, shadow_selection
from pipeline.plan import Plan
from pipeline.progress import Progress
from pipeline.shard_read import ShardRead
from pipeline.spec import ActorsConfig


def actor_audit(plan: Plan, progress: Progress, reads: Sequence[ShardRead], actors: ActorsConfig) -> ActorAudit | None:
    """Return the audit of each process that works on `reads`; None where the plan asks for none."""
    if not plan.audit_windows and not any(plan.audit_rates.values()):
        return None
    rows = _rows_left(plan, progress, reads)
    return ActorAudit(
        shadows=shadow_selection(plan),
        windows=plan.audit_windows,
        rows_expected=rows // (actors.max or actors.min) if rows else None,
    )


def shadows_alone(plan: Plan) -> ActorAudit | None:
    """Return the audit of processes that run a few rows again: shadowed as the plan says, and not timed."""
    return ActorAudit(shadows=shadow_selection(plan)) if any(plan.audit_rates.values()) else None


def _rows_left(plan: Plan, progress: Progress, reads: Sequence[ShardRead]) -> int | None:
    """Rows that `reads` will give, as far as the plan knows; None where it does not."""
    images = 0
    planned = {shard.shard_id: shard.rows for shard in plan.shards}
    for read in reads:
        rows = planned.get(read.shard_id)
        if rows is None:
            return None
        images += max(0, rows - sum(min(stop, rows) - min(start, rows) for start, stop in read.skip))
    return round(images * progress.rows_per_image)
