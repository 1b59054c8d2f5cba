"""What an actor tells a cluster's monitoring: rows, tokens, where rows left, and how full groups were.

For dashboards and alarms. Nothing is ever reported from these numbers: a call that is repeated after a death counts
twice here, and once in the committed rows.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

OCCUPANCY_EVERY_S = 5.0
"""Seconds between two looks at the engine's stages."""
STREAMS = {"image": "image_layers_run", "text": "text_layers_run", "decoder": "decoder_layers_run"}


class Meter(Protocol):
    """Where numbers go: Ray's metrics, or in tests what keeps them."""

    def add(self, name: str, amount: float, tags: dict[str, str]) -> None:
        """Count."""
        ...

    def set(self, name: str, value: float, tags: dict[str, str]) -> None:
        """Stand at."""
        ...


class RayMeter:
    """Metrics of this process in Ray, where they appear as `ray_<name>`."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge

        self._counters: dict[str, Any] = {
            "mue_rows": Counter("mue_rows", "Rows answered by an actor, or passed through.", ("status", "code")),
            "mue_tokens": Counter("mue_tokens", "Tokens of answers.", ()),
            "mue_exits": Counter("mue_exits", "Rows, or tokens, that left after so many layers.", ("stream", "layers")),
        }
        self._gauges: dict[str, Any] = {
            "mue_occupancy": Gauge("mue_occupancy", "Rows over places in a stage's groups so far.", ("stage",))
        }

    def add(self, name: str, amount: float, tags: dict[str, str]) -> None:
        """Count."""
        self._counters[name].inc(amount, tags)

    def set(self, name: str, value: float, tags: dict[str, str]) -> None:
        """Stand at."""
        self._gauges[name].set(value, tags)


class RowMetrics:
    """Counts the answers of one actor. Called from several threads: meters are thread-safe, and a look too many harms
    nothing."""

    def __init__(
        self,
        meter: Meter,
        occupancy: Callable[[], Mapping[str, float]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`occupancy` gives the share of full places of each stage of the engine."""
        self._meter, self._occupancy, self._clock = meter, occupancy, clock
        self._next = 0.0

    def count(self, answers: pa.Table) -> None:
        """Count the rows of a `COMMIT_SCHEMA` table; control rows are none."""
        rows = answers.filter(pc.is_valid(answers["uid"]))
        for (status, code), amount in _tally(rows, "status", "error_code").items():
            self._meter.add("mue_rows", amount, {"status": str(status), "code": str(code or "")})
        tokens = pc.sum(rows["n_tokens"]).as_py()
        if tokens:
            self._meter.add("mue_tokens", tokens, {})
        for stream, column in STREAMS.items():
            layers = rows[column]
            depths = pc.list_flatten(layers) if pa.types.is_list(layers.type) else layers
            for depth, amount in Tally(depths.drop_null().to_pylist()).items():
                self._meter.add("mue_exits", amount, {"stream": stream, "layers": str(depth)})
        now = self._clock()
        if now >= self._next:
            self._next = now + OCCUPANCY_EVERY_S
            for stage, share in self._occupancy().items():
                self._meter.set("mue_occupancy", share, {"stage": stage})


def _tally(rows: pa.Table, *columns: str) -> Tally[tuple[Any, ...]]:
    return Tally(zip(*(rows[name].to_pylist() for name in columns), strict=True))
