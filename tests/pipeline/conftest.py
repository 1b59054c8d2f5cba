"""Builders of small plans and commit tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.ledger import Ledger
from pipeline.plan import Plan, PlannedShard
from pipeline.records import COMMIT_SCHEMA
from pipeline.spec import FieldsConfig

FINGERPRINT = "f" * 64


@pytest.fixture(scope="session")
def make_plan() -> Callable[..., Plan]:
    """`make_plan("000000-a", ...)`: a plan of these shards."""

    def make(*shard_ids: str, fingerprint: str = FINGERPRINT, parts: dict[str, Any] | None = None) -> Plan:
        shards = tuple(
            PlannedShard(shard_id=shard_id, url=f"/corpus/{shard_id[7:]}.tar", size=10_240, etag="e1")
            for shard_id in shard_ids
        )
        return Plan(
            shards=shards,
            fingerprint=fingerprint,
            fingerprint_parts=parts or {},
            audit_seed=7,
            audit_rates={"shallow": 0.0},
            fields=FieldsConfig(),
        )

    return make


@pytest.fixture(scope="session")
def make_table() -> Callable[..., pa.Table]:
    """`make_table({shard: rows}, {shard: total}, by="driver")`: each row's text names its uid and who made it."""

    def make(
        rows: dict[str, Iterable[int]],
        totals: dict[str, int] | None = None,
        *,
        by: str = "a",
        bad: str | None = None,
        queries: int = 1,
        failed: Container[int] = (),
    ) -> pa.Table:
        empty: dict[str, Any] = dict.fromkeys(COMMIT_SCHEMA.names)
        records = [
            {
                **empty,
                "uid": f"{shard}/{row}/{query}",
                "shard_id": shard,
                "row_in_shard": row,
                "query": query,
                "key": f"{row:06d}",
                "task": "caption",
                "text": f"{shard}/{row}/{query} by {by}",
                "status": "failed" if row in failed else "ok",
                "attempts": 1,
                "attempt_id": by,
            }
            for shard, numbers in rows.items()
            for row in numbers
            for query in range(queries)
        ]
        records += [
            {
                **empty,
                "shard_id": shard,
                "shard_total": total,
                "shard_state": "bad" if bad else "done",
                "shard_code": bad,
                "shard_message": "cut off" if bad else None,
            }
            for shard, total in (totals or {}).items()
        ]
        return pa.Table.from_pylist(records, schema=COMMIT_SCHEMA)

    return make


@pytest.fixture(scope="session")
def live_texts() -> Callable[[Ledger], list[tuple[str, str]]]:
    """Every live row's uid and text, sorted: a row that is there twice shows twice."""

    def read(ledger: Ledger) -> list[tuple[str, str]]:
        tables = list(ledger.read_live(columns=["uid", "text"]))
        pairs = [
            pair for table in tables for pair in zip(table["uid"].to_pylist(), table["text"].to_pylist(), strict=True)
        ]
        return sorted(pairs)

    return read


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests with many writes: no power failure happens in them."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
