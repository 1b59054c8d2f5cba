"""What one of two compared jobs is, and what it spent on the rows that both answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from jobs.job_folder import planned_model, run_facts
from pipeline.ledger import MANIFEST, Ledger

_LAYERS = ("image_layers_run", "text_layers_run", "decoder_layers_run")
COST_COLUMNS = ["flops_executed", "flops_full_same_length", "n_tokens", *_LAYERS]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One job. Costs are those of the rows that both jobs answered, so that they compare."""

    output: str
    model: str
    finished: bool
    flops_executed: int
    flops_full_same_length: int
    mean_tokens: float | None
    mean_layers: dict[str, float | None]
    rows_per_s: float | None
    """Of the job's last run, over all of its rows and with start and loading; None where it left no measurement."""
    cores: int | None
    """Of the machine that run was on."""


class SideTally:
    """Adds up one job's rows."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, row: dict[str, Any]) -> None:
        """Count a row that both jobs answered. Python integers: exact at any size."""
        for name in COST_COLUMNS:
            value = row[name]
            values = value if isinstance(value, list) else [] if value is None else [value]
            self._sums[name] += sum(values)
            self._counts[name] += len(values)

    def side(self) -> Side:
        """Return what was counted, beside what the job says of itself."""
        run = run_facts(self._ledger)
        attempts = run.get("attempts") or [{}]
        rate, cores = run.get("rows_per_s"), attempts[-1].get("cores")
        return Side(
            output=self._ledger.storage.url,
            model=planned_model(self._ledger.plan()).name,
            finished=self._ledger.storage.exists(MANIFEST),
            flops_executed=self._sums["flops_executed"],
            flops_full_same_length=self._sums["flops_full_same_length"],
            mean_tokens=self._mean("n_tokens"),
            mean_layers={name.removesuffix("_layers_run"): self._mean(name) for name in _LAYERS},
            rows_per_s=float(rate) if isinstance(rate, (int, float)) else None,
            cores=cores if isinstance(cores, int) else None,
        )

    def _mean(self, name: str) -> float | None:
        return self._sums[name] / self._counts[name] if self._counts[name] else None
