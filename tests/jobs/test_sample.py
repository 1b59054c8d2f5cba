"""Where a sample is taken from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.sample import SHARDS, spread
from pipeline.plan import Plan, PlannedShard
from pipeline.spec import FieldsConfig


def plan_of(rows: list[int | None]) -> Plan:
    shards = tuple(
        PlannedShard(shard_id=f"{i:06d}-a", url=f"/a{i}.tar", size=1, etag="1", rows=n) for i, n in enumerate(rows)
    )
    return Plan(
        shards=shards, fingerprint="f", fingerprint_parts={}, audit_seed=0, audit_rates={}, fields=FieldsConfig()
    )


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=40), st.integers(1, 20))
def test_it_is_spread_over_shards_that_have_rows(rows: list[int | None], wanted: int) -> None:
    chosen = spread(plan_of(rows), wanted)
    assert all(shard.rows != 0 and count > 0 for shard, count in chosen)
    assert len({shard.shard_id for shard, _ in chosen}) == len(chosen) <= SHARDS
    assert sum(count for _, count in chosen) == (wanted if chosen else 0)
    assert bool(chosen) == any(count != 0 for count in rows)


def test_it_reaches_over_the_whole_plan() -> None:
    assert [shard.shard_id[:6] for shard, _ in spread(plan_of([None] * 100), 8)] == [
        "000000",
        "000025",
        "000050",
        "000075",
    ]
