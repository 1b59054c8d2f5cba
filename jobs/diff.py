"""Two jobs over the same inputs, row by row: how often they agree, what changed most, and what each spent.

Rows meet by shard, row and query. Every row of either job is in exactly one count. Memory is bounded: both are read
shard by shard, and only the most changed rows are kept.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.diff_inputs import PairedInputs, paired_inputs
from jobs.diff_side import COST_COLUMNS, Side, SideTally
from jobs.evaluation import refuse_overlaps
from jobs.job_folder import planned_task
from jobs.ordered_rows import OrderedRows
from mue_model.config import ConfigError
from pipeline.fingerprint import explain_difference
from pipeline.ledger import Ledger
from pipeline.receipts import LedgerError
from pipeline.records import RowStatus

_COLUMNS = ["uid", "key", "image_sha256", "prompt", "text", "label", "status", *COST_COLUMNS]
COUNTS = ("same", "changed", "only_a_ok", "only_b_ok", "neither_ok", "only_in_a", "only_in_b", "other_question")
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row that the two jobs answer differently."""

    uid_a: str
    uid_b: str
    key: str | None
    answer_a: str
    answer_b: str
    difference: float
    """1 - F1 of the words that both answers have; 1 for two labels."""
    depth_a: float | None
    """Mean of all layers run, encoder streams and tokens alike."""
    depth_b: float | None


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Everything `mue diff` says."""

    task: str
    inputs: PairedInputs
    settings: tuple[str, ...]
    """What the two jobs were set to differently, in words."""
    rows: dict[str, int]
    """Rows of either job by what became of them here."""
    changes: tuple[Change, ...]
    """The most changed rows, worst first."""
    a: Side
    b: Side

    @property
    def compared(self) -> int:
        """Rows that both jobs answered."""
        return self.rows["same"] + self.rows["changed"]

    @property
    def agreement(self) -> float | None:
        """Share of them with the same answer: a count, so there is no interval."""
        return self.rows["same"] / self.compared if self.compared else None


def diff(a: Ledger, b: Ledger, *, common: bool = False, most: int = 20) -> Diff:
    """Compare the committed rows of two jobs, finished or not.

    Args:
        a: The first job.
        b: The second one.
        common: Compare what both read where one has other inputs too.
        most: How many changed rows are kept.

    Raises:
        ConfigError: The jobs ask different things, or of different inputs.
        LedgerError: Rows are committed twice at the moment, or the images of equal shards are not the same.
    """
    plan_a, plan_b = a.plan(), b.plan()
    task = planned_task(plan_a)
    if planned_task(plan_b) != task:
        raise ConfigError(f"{a.storage.url} is of task '{task}', {b.storage.url} of '{planned_task(plan_b)}'")
    inputs = paired_inputs(plan_a, plan_b, common=common)
    for ledger in (a, b):
        refuse_overlaps(ledger)
    rows_a, rows_b = OrderedRows(a, _COLUMNS), OrderedRows(b, _COLUMNS)
    tally = _Tally(a, b, answer="label" if task == "entailment" else "text", most=most)
    for shard_a, shard_b in inputs.pairs:
        for pair in _joined(rows_a.of(shard_a.shard_id), rows_b.of(shard_b.shard_id)):
            tally.add(*pair)
    tally.check(common=common)
    settings = explain_difference(plan_a.fingerprint_parts, plan_b.fingerprint_parts)
    return Diff(
        task=task,
        inputs=inputs,
        settings=tuple(line for line in settings if not line.startswith("inputs.")),
        rows={name: tally.rows[name] for name in COUNTS},
        changes=tally.changes(),
        a=tally.a.side(),
        b=tally.b.side(),
    )


def _joined(a: Iterator[Row], b: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Put rows with the same row_in_shard and query beside each other; None where one has no such row."""
    left, right = next(a, None), next(b, None)
    while left is not None or right is not None:
        if right is None or (left is not None and _place(left) < _place(right)):
            yield left, None
            left = next(a, None)
        elif left is None or _place(right) < _place(left):
            yield None, right
            right = next(b, None)
        else:
            yield left, right
            left, right = next(a, None), next(b, None)


def _place(row: Row) -> tuple[int, int]:
    return row["row_in_shard"], row["query"]


class _Tally:
    """Puts every pair into one count and keeps the most changed ones."""

    def __init__(self, a: Ledger, b: Ledger, *, answer: str, most: int) -> None:
        self.rows: Counter[str] = Counter()
        self.a, self.b = SideTally(a), SideTally(b)
        self._answer, self._most = answer, most
        self._worst: list[tuple[float, int, Change]] = []
        self._seen = 0
        self._other: tuple[str, str] | None = None

    def add(self, a: Row | None, b: Row | None) -> None:
        """Count a row of either job, or one of both."""
        if a is None or b is None:
            self.rows["only_in_b" if a is None else "only_in_a"] += 1
            return
        if _told_apart(a, b, "image_sha256") or _told_apart(a, b, "prompt"):
            self.rows["other_question"] += 1
            self._other = self._other or (a["uid"], "image" if _told_apart(a, b, "image_sha256") else "prompt")
            return
        ok_a, ok_b = a["status"] == RowStatus.OK, b["status"] == RowStatus.OK
        if not (ok_a and ok_b):
            self.rows["only_a_ok" if ok_a else "only_b_ok" if ok_b else "neither_ok"] += 1
            return
        self.a.add(a)
        self.b.add(b)
        answer_a, answer_b = a[self._answer] or "", b[self._answer] or ""
        self.rows["same" if answer_a == answer_b else "changed"] += 1
        if answer_a != answer_b:
            self._keep(_change(a, b, answer_a, answer_b, of_labels=self._answer == "label"))

    def check(self, *, common: bool) -> None:
        """Raise `LedgerError` where rows that should be the same are not."""
        if self._other is not None and not common:
            uid, what = self._other
            raise LedgerError(
                f"{self.rows['other_question']:,} rows are not about the same image and prompt in both jobs, the first "
                f"is {uid} (another {what}): the inputs or settings differ. Add --common to compare the others"
            )

    def changes(self) -> tuple[Change, ...]:
        """Return the most changed rows, worst first, equal ones in the order of the input."""
        return tuple(change for *_, change in sorted(self._worst, key=lambda kept: (-kept[0], -kept[1])))

    def _keep(self, change: Change) -> None:
        self._seen -= 1  # of equal ones the first stay
        heapq.heappush(self._worst, (change.difference, self._seen, change))
        if len(self._worst) > self._most:
            heapq.heappop(self._worst)


def _told_apart(a: Row, b: Row, name: str) -> bool:
    """Whether both know a value and the values differ; a row that failed early knows little."""
    return a[name] is not None and b[name] is not None and a[name] != b[name]


def _change(a: Row, b: Row, answer_a: str, answer_b: str, *, of_labels: bool) -> Change:
    return Change(
        uid_a=a["uid"],
        uid_b=b["uid"],
        key=a["key"],
        answer_a=answer_a,
        answer_b=answer_b,
        difference=1.0 if of_labels else difference(answer_a, answer_b),
        depth_a=_depth(a),
        depth_b=_depth(b),
    )


def difference(one: str, other: str) -> float:
    """Return 1 - F1 of the words of two texts, each counted as often as it occurs; 1 where they share none."""
    words, others = Counter(one.lower().split()), Counter(other.lower().split())
    total = words.total() + others.total()
    return 1 - 2 * (words & others).total() / total if total else 0.0


def _depth(row: Row) -> float | None:
    streams = [row[name] for name in ("image_layers_run", "text_layers_run") if row[name] is not None]
    layers = [*streams, *(row["decoder_layers_run"] or [])]
    return sum(layers) / len(layers) if layers else None
