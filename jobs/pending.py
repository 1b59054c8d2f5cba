"""What is left to read: unfinished shards, and bad ones that deserve a second reading."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from pipeline.intervals import Ranges, subtract
from pipeline.ledger import Ledger
from pipeline.plan import Plan, PlannedShard
from pipeline.records import ShardCode, ShardState
from pipeline.rewrite import skip_all_but
from pipeline.shard_failures import ShardFailure
from pipeline.shard_read import ShardRead

BAD_SHARD_ATTEMPTS = 2
"""A shard that cannot be read whole is read once more before it is given up."""


def unfinished_reads(plan: Plan, ledger: Ledger, *, of: Container[str] | None = None) -> list[ShardRead]:
    """Return the shards that are not finished, each with the rows that need not be done again; `of`: only these."""
    skips = ledger.progress().unfinished(plan)
    shards = [shard for shard in plan.shards if shard.shard_id in skips and (of is None or shard.shard_id in of)]
    return [_read(shard, tuple(skips[shard.shard_id])) for shard in shards]


def any_uncommitted(ledger: Ledger, shard_id: str, rows: Ranges) -> bool:
    """Return whether any of these rows of a shard is not committed yet."""
    return bool(subtract(rows, ledger.progress().of(shard_id).done))


def bad_shards(plan: Plan, ledger: Ledger) -> list[PlannedShard]:
    """Return the shards whose reading ended badly."""
    progress = ledger.progress()
    outcomes = [(shard, progress.of(shard.shard_id).outcome) for shard in plan.shards]
    return [shard for shard, outcome in outcomes if outcome is not None and outcome.state is ShardState.BAD]


def second_reads(plan: Plan, ledger: Ledger) -> list[ShardRead]:
    """Return the bad shards that were not given up yet: storage may have failed for a moment."""
    given_up = {failure.shard_id for failure in ledger.failure_entries()}
    progress = ledger.progress()
    return [
        _read(shard, progress.of(shard.shard_id).done)
        for shard in bad_shards(plan, ledger)
        if shard.shard_id not in given_up
    ]


def give_up_bad_shards(plan: Plan, ledger: Ledger) -> None:
    """Write the failure entry of every shard that is still bad."""
    progress = ledger.progress()
    for shard in bad_shards(plan, ledger):
        outcome = progress.of(shard.shard_id).outcome
        if outcome is not None and outcome.code is not None:
            message = outcome.message or ""
            ledger.write_failure_entry(shard.shard_id, outcome.code, message, shard.url, BAD_SHARD_ATTEMPTS)


def out_of_reach(ledger: Ledger) -> list[ShardFailure]:
    """Return the shards that were given up for their storage, not for what is in them: another run may read them."""
    return [failure for failure in ledger.failure_entries() if failure.code is ShardCode.UNREADABLE]


def reopen(ledger: Ledger, failures: Sequence[ShardFailure]) -> None:
    """Let shards that were given up be read once more."""
    for failure in failures:
        ledger.withdraw_failure_entry(failure)


def reads_of(plan: Plan, rows: Mapping[str, Ranges]) -> list[ShardRead]:
    """Return the shards of `rows`, to be read for these rows alone."""
    return [_read(shard, skip_all_but(rows[shard.shard_id])) for shard in plan.shards if shard.shard_id in rows]


def _read(shard: PlannedShard, skip: tuple[tuple[int, int], ...]) -> ShardRead:
    return ShardRead(
        shard_id=shard.shard_id, url=shard.url, size=shard.size, etag=shard.etag, files=shard.files, skip=skip
    )
