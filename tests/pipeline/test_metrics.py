"""Numbers for monitoring are those of the committed rows, and cost little."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from pipeline.metrics import OCCUPANCY_EVERY_S, RowMetrics
from pipeline.records import COMMIT_SCHEMA


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.gauges: dict[tuple[str, ...], float] = {}

    def add(self, name: str, amount: float, tags: dict[str, str]) -> None:
        self.counts[(name, *tags.values())] += amount  # type: ignore[assignment]

    def set(self, name: str, value: float, tags: dict[str, str]) -> None:
        self.gauges[(name, *tags.values())] = value


def rows(*found: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(found), schema=COMMIT_SCHEMA)


OK = {"uid": "a/0/0", "status": "ok", "n_tokens": 3, "image_layers_run": 2, "text_layers_run": 4}
OK |= {"decoder_layers_run": [1, 2, 2]}
FAILED = {"uid": "a/1/0", "status": "failed", "error_code": "corrupt_image", "n_tokens": 0}


def test_rows_tokens_and_exits_are_counted_and_control_rows_are_not() -> None:
    kept = Kept()
    metrics = RowMetrics(kept, lambda: {"decoder 0": 0.5})
    metrics.count(rows(OK, FAILED, {"shard_id": "a", "shard_total": 2, "shard_state": "done"}))
    metrics.count(rows(OK))
    metrics.count(rows())
    assert kept.counts == {
        ("mue_rows", "ok", ""): 2,
        ("mue_rows", "failed", "corrupt_image"): 1,
        ("mue_tokens",): 6,
        ("mue_exits", "image", "2"): 2,
        ("mue_exits", "text", "4"): 2,
        ("mue_exits", "decoder", "1"): 2,
        ("mue_exits", "decoder", "2"): 4,
    }
    assert kept.gauges == {("mue_occupancy", "decoder 0"): 0.5}


def test_stages_are_looked_at_now_and_then() -> None:
    looks: list[int] = []
    now = 0.0

    def look() -> dict[str, float]:
        looks.append(1)
        return {}

    metrics = RowMetrics(Kept(), look, clock=lambda: now)
    for _ in range(10):
        metrics.count(rows(OK))
    now = OCCUPANCY_EVERY_S
    metrics.count(rows(OK))
    assert len(looks) == 2
