"""Seconds that saved nothing, which only the run itself can know; what it did not write down is unknown, never zero."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class OverheadSeconds:
    """Actor-seconds of all model processes together. None: unknown."""

    processes: int
    """That left a record."""
    processes_unknown: int | None
    """That committed rows and left none: their seconds are missing in all sums below."""
    actor_s: float | None
    """From the start of each process to its last record."""
    load_s: float | None
    """Loading the model."""
    warm_up_s: float | None
    """From the first row until the engine had worked for the first time: what is compiled once."""
    idle_s: float | None
    """No row in hand."""
    windows_s: float | None
    """Timing windows, draining and warming included."""
    shadow_s: float | None
    """Shadow rows' part of the time with rows in hand, by FLOPs: a row in mixed groups has no time of its own."""
    failed_attempts_s: float | None
    """Time with rows in hand whose answers were never committed, by rows."""

    def document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def overhead_seconds(ledger: Ledger) -> OverheadSeconds:
    """Return what the processes of the job's runs wrote down in `metrics/`; those of audits afterwards are apart."""
    return OverheadSeconds(
        processes=0, processes_unknown=None, actor_s=None, load_s=None, warm_up_s=None, idle_s=None, windows_s=None,
        shadow_s=None, failed_attempts_s=None,
    )  # fmt: skip
