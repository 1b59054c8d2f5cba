"""The same-length census: what committed rows executed and would have at full depth, exactly, by task and step.

No sampling and no interval: every row counts once. Only rows with status `ok` can save; what others cost stands apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.exact_sum import exact_sum
from pipeline.records import REUSED, RowStatus

_SUMS = (
    "flops_full_same_length",
    "flops_executed",
    "flops_kv_fill",
    "flops_checks",
    "flops_padding",
    "flops_reused",
    *(f"flops_reused_{what}" for what in REUSED),
)
COLUMNS = ["task", "status", "attempts", "image_layers_run", "text_layers_run", "decoder_layers_run", "shadow", *_SUMS]
"""What the census reads of a row."""
_COUNTS = (
    "rows_retried",
    "attempts_failed",
    "rows_shadowed",
    "shadow_agrees",
    *_SUMS,
    "flops_of_other_rows",
    "flops_shadow",
)
_SMALL = 1 << 8


@dataclass(frozen=True, kw_only=True)
class StepDepths:
    """How deep the tokens of one decoding step went."""

    step: int
    """0-based; of scored candidates all positions together are step 0."""
    tokens: int
    layers_run: int
    """Sum over the tokens."""
    by_depth: dict[int, int]
    """Tokens by layers_run."""


@dataclass(frozen=True, kw_only=True)
class TaskCensus:
    """Sums over the rows of one task. FLOPs and depths are those of rows with status `ok`, unless said otherwise."""

    task: str
    rows_ok: int
    rows_failed: int
    rows_filtered: int
    rows_retried: int
    """Rows of any status that were attempted more than once."""
    attempts_failed: int
    """Attempts that gave no answer: their FLOPs were not counted when they ran, so nobody knows them."""
    rows_shadowed: int
    shadow_agrees: int
    """Of the shadowed rows: full depth gave the same answer."""
    flops_full_same_length: int
    """The baseline: the same rows and lengths at full depth."""
    flops_executed: int
    """As if every row ran alone: checks, sharing and padding are not in it, key-value fills are."""
    flops_kv_fill: int
    """Of `flops_executed`."""
    flops_checks: int
    flops_padding: int
    flops_reused: int
    """The sum of the next four. Executed - reused + padding is what a counter on the machine would have seen."""
    flops_reused_tables: int
    flops_reused_text: int
    flops_reused_image: int
    flops_reused_cross_kv: int
    flops_of_other_rows: int
    """Executed for rows that failed or were filtered, as far as known: never a saving."""
    flops_shadow: int
    """Of full-depth runs of shadowed rows."""
    image_by_depth: dict[int, int]
    """Rows by layers_run of the image stream, or of the joint one."""
    text_by_depth: dict[int, int]
    steps: tuple[StepDepths, ...]

    @property
    def flops_saved_by_early_exit(self) -> int:
        """Baseline less executed: nothing else is in it."""
        return self.flops_full_same_length - self.flops_executed

    def document(self) -> dict[str, Any]:
        """Return it ready for JSON; integers are exact, keys of histograms are texts as JSON wants them."""
        return asdict(self) | {
            "flops_saved_by_early_exit": self.flops_saved_by_early_exit,
            "share_saved_by_early_exit": share(self.flops_saved_by_early_exit, self.flops_full_same_length),
            "image_by_depth": _texts(self.image_by_depth),
            "text_by_depth": _texts(self.text_by_depth),
            "steps": [asdict(step) | {"by_depth": _texts(step.by_depth)} for step in self.steps],
        }

    @classmethod
    def total(cls, parts: Sequence[Self]) -> Self:
        """Return the sum of several tasks' under the name `all`."""
        counts = ("rows_ok", "rows_failed", "rows_filtered", *_COUNTS)
        numbers = {name: sum(getattr(part, name) for part in parts) for name in counts}
        steps: dict[int, Counter[int]] = {}
        for step in (step for part in parts for step in part.steps):
            steps.setdefault(step.step, Counter()).update(step.by_depth)
        return cls(
            task="all",
            **numbers,
            image_by_depth=_sorted(sum((Counter(part.image_by_depth) for part in parts), Counter())),
            text_by_depth=_sorted(sum((Counter(part.text_by_depth) for part in parts), Counter())),
            steps=_steps(steps),
        )


def share(part: int, whole: int) -> float | None:
    """Return part / whole, correctly rounded at any size; None of nothing."""
    return part / whole if whole else None


def census(tables: Iterable[pa.Table]) -> tuple[TaskCensus, ...]:
    """Return the census of `tables` (`COLUMNS` of `ROW_SCHEMA`) by task, sorted; memory is bounded by one table."""
    found: dict[str, _Counts] = {}
    for table in tables:
        tasks = pc.unique(table["task"]).to_pylist()
        for task in tasks:
            rows = table if len(tasks) == 1 else table.filter(pc.equal(table["task"], task))
            found.setdefault(task, _Counts()).add(rows)
    return tuple(counts.census(task) for task, counts in sorted(found.items()))


@dataclass
class _Counts:
    """Running sums in Python integers: at 182 GFLOP a row, int64 wraps at 51 million rows and says nothing."""

    numbers: Counter[str] = field(default_factory=Counter)
    status: Counter[str] = field(default_factory=Counter)
    image: Counter[int] = field(default_factory=Counter)
    text: Counter[int] = field(default_factory=Counter)
    steps: dict[int, Counter[int]] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        """Count rows of one task."""
        self.status.update(value_counts(rows["status"]))
        attempts = exact_sum(rows["attempts"])
        is_ok = pc.equal(rows["status"], RowStatus.OK.value)
        ok = rows if pc.all(is_ok).as_py() else rows.filter(is_ok)
        others = rows.filter(pc.invert(is_ok))
        # Filtered rows were looked at once and not attempted by a model, which `attempts` counts as one.
        filtered = pc.sum(pc.equal(rows["status"], RowStatus.FILTERED.value)).as_py() or 0
        self.numbers.update(
            {
                **{name: exact_sum(ok[name]) for name in _SUMS},
                "flops_of_other_rows": exact_sum(others["flops_executed"]),
                "flops_shadow": exact_sum(pc.struct_field(ok["shadow"], "flops")),
                "rows_shadowed": len(ok) - ok["shadow"].null_count,
                "shadow_agrees": pc.sum(pc.struct_field(ok["shadow"], "agrees")).as_py() or 0,
                "rows_retried": pc.sum(pc.greater(rows["attempts"], 1)).as_py() or 0,
                "attempts_failed": attempts - len(ok) - filtered,
            }
        )
        self.image.update(value_counts(ok["image_layers_run"].drop_null()))
        self.text.update(value_counts(ok["text_layers_run"].drop_null()))
        for step, depths in _depths_by_step(ok["decoder_layers_run"]).items():
            self.steps.setdefault(step, Counter()).update(depths)

    def census(self, task: str) -> TaskCensus:
        """Return what was counted."""
        return TaskCensus(
            task=task,
            rows_ok=self.status[RowStatus.OK],
            rows_failed=self.status[RowStatus.FAILED],
            rows_filtered=self.status[RowStatus.FILTERED],
            **{name: self.numbers[name] for name in _COUNTS},
            image_by_depth=_sorted(self.image),
            text_by_depth=_sorted(self.text),
            steps=_steps(self.steps),
        )


def _depths_by_step(lists: pa.ChunkedArray) -> dict[int, Counter[int]]:
    """Count layers_run by the place in its list."""
    found: dict[int, Counter[int]] = {}
    for chunk in lists.chunks:
        lengths = pc.fill_null(pc.list_value_length(chunk), 0).to_numpy(zero_copy_only=False)
        depths = pc.fill_null(pc.list_flatten(chunk), 0).to_numpy(zero_copy_only=False).astype(np.int32)
        starts = np.cumsum(lengths) - lengths
        steps = np.arange(len(depths), dtype=np.int32) - np.repeat(starts, lengths).astype(np.int32)
        for step, depth, count in _pair_counts(steps, depths):
            found.setdefault(step, Counter())[depth] += count
    return found


def _pair_counts(steps: np.ndarray, depths: np.ndarray) -> Iterable[tuple[int, int, int]]:
    """Yield each pair with how often it occurs. Depths are small numbers in every honest row; others cost a sort."""
    if len(depths) and depths.min() >= 0 and depths.max() < _SMALL:
        counts = np.bincount(steps * _SMALL + depths)
        for key in np.flatnonzero(counts).tolist():
            yield key // _SMALL, key % _SMALL, int(counts[key])
        return
    pairs, counts = np.unique(np.stack([steps, depths]), axis=1, return_counts=True)
    yield from zip(*pairs.tolist(), counts.tolist(), strict=True)


def value_counts(column: pa.ChunkedArray) -> dict[Any, int]:
    """Return how often each value occurs."""
    return {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(column)}


def _steps(counts: dict[int, Counter[int]]) -> tuple[StepDepths, ...]:
    return tuple(
        StepDepths(
            step=step,
            tokens=depths.total(),
            layers_run=sum(depth * count for depth, count in depths.items()),
            by_depth=_sorted(depths),
        )
        for step, depths in sorted(counts.items())
    )


def _sorted(counts: Counter[int]) -> dict[int, int]:
    return dict(sorted(counts.items()))


def _texts(counts: dict[int, int]) -> dict[str, int]:
    return {str(key): count for key, count in counts.items()}
