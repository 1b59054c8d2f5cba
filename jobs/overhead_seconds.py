"""Seconds that saved nothing, which only the run itself can know; what it did not write down is unknown, never zero."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from jobs.metrics_lines import ProcessLines, process_lines
from pipeline.ledger import Ledger
from pipeline.records import RowStatus


@dataclass(frozen=True, kw_only=True)
class OverheadSeconds:
    """Actor-seconds of all model processes together. None: unknown."""

    processes: int
    """That left a record."""
    processes_unknown: int
    """That committed rows and left none: their seconds are missing in all sums below."""
    actor_s: float | None = None
    """From the start of each process to its last record."""
    load_s: float | None = None
    """Loading the model."""
    warm_up_s: float | None = None
    """A first row of nobody's: what is compiled once."""
    idle_s: float | None = None
    """No row in hand."""
    windows_s: float | None = None
    """Timing windows, from when the process was drained, warming included."""
    windows_drain_s: float | None = None
    """Until it was: rows in hand were finished meanwhile, in thinner and thinner groups, so part of it was work."""
    shadow_s: float | None = None
    """Shadow rows' part of the time with rows in hand, by FLOPs: a row in mixed groups has no time of its own."""
    failed_attempts_s: float | None = None
    """Time with rows in hand whose answers were never committed, by rows. What a killed process did after its last
    record is in no sum."""

    def document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def overhead_seconds(ledger: Ledger) -> OverheadSeconds:
    """Return what the processes of the job's runs wrote down in `metrics/`; those of audits afterwards are apart."""
    processes = process_lines(ledger.storage, purpose="run")
    committed = committed_by_actor(ledger)
    known = {(lines.attempt, lines.actor) for lines in processes}
    unknown = len(committed.keys() - known)
    if not processes:
        return OverheadSeconds(processes=0, processes_unknown=unknown)
    windows = [line for lines in processes for line in lines.windows]
    return OverheadSeconds(
        processes=len(processes),
        processes_unknown=unknown,
        actor_s=_sum(processes, "totals", "actor_s"),
        load_s=_sum(processes, "process", "load_s"),
        warm_up_s=_sum(processes, "process", "warm_up_s"),
        idle_s=_sum(processes, "totals", "idle_s"),
        windows_s=math.fsum(line["alone_s"] for line in windows),
        windows_drain_s=math.fsum(line["drain_s"] for line in windows),
        shadow_s=math.fsum(_shadow_s(lines.totals) for lines in processes),
        failed_attempts_s=_failed_s(processes, committed),
    )


def committed_by_actor(ledger: Ledger) -> Counter[tuple[str, str]]:
    """`ok` rows that count, by attempt and actor."""
    found: Counter[tuple[str, str]] = Counter()
    for table in ledger.read_live(["status", "attempt_id", "actor"]):
        ok = table.filter(pc.equal(table["status"], RowStatus.OK.value))
        for row in ok.group_by(["attempt_id", "actor"]).aggregate([([], "count_all")]).to_pylist():
            if row["actor"] is not None:
                found[row["attempt_id"], row["actor"]] += row["count_all"]
    return found


def _sum(processes: Sequence[ProcessLines], part: str, name: str) -> float | None:
    """The sum over all processes; None where one of them does not say it."""
    values = [getattr(lines, part).get(name) for lines in processes]
    return None if None in values else math.fsum(values)


def _shadow_s(totals: Mapping[str, Any]) -> float:
    flops = totals["flops_ok"] + totals["flops_shadow"]
    return float(totals["busy_s"] * totals["flops_shadow"] / flops) if flops else 0.0


def _failed_s(processes: Sequence[ProcessLines], committed: Mapping[tuple[str, str], int]) -> float:
    """Of each actor, whose restarts count together, the part of the busy time whose rows were not committed."""
    rows: Counter[tuple[str, str]] = Counter()
    busy: defaultdict[tuple[str, str], float] = defaultdict(float)
    for lines in processes:
        rows[lines.attempt, lines.actor] += lines.totals["rows_ok"]
        busy[lines.attempt, lines.actor] += lines.totals["busy_s"]
    return math.fsum(
        busy[name] * max(0, answered - committed.get(name, 0)) / answered for name, answered in rows.items() if answered
    )
