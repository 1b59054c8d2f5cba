"""Time as a sum of layer calls and checks, each at a pace that was measured; without torch.

FLOPs do not show what it takes to stop and ask: states leave their group, are compared, and wait for another group. On
a small model asking a token takes longer than a layer of it. So each stage's layer and check are timed once, and
thresholds are screened by what their layer calls and checks would take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mue_model.tuning.net_work import NetWork


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One run of some rows."""

    work: NetWork
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds of one run of the rows that were timed."""

    full_s: float
    """At full depth, nothing asked."""
    full_layers: Mapping[str, int]
    layer_s: Mapping[str, float]
    """Of one layer call, by image, text and decoder."""
    check_s: Mapping[str, float]
    """Of one check, with the stop that it makes."""

    @classmethod
    def of(cls, full: Timed, shallow: Mapping[str, Timed], asking: Mapping[str, Timed]) -> Self:
        """Measure each stage by two runs that differ from full depth in that stage alone.

        Args:
            full: Full depth, nothing asked.
            shallow: By stage, that stage left early by all, all others at full depth.
            asking: By stage, that stage asked everywhere and never left.

        Returns:
            A pace that is never negative: what is lost in noise costs nothing.
        """
        layers, checks = {}, {}
        for stage, run in shallow.items():
            saved = full.work.layers[stage] - run.work.layers[stage]
            layers[stage] = max(0.0, full.seconds - run.seconds) / max(1, saved)
        for stage, run in asking.items():
            checks[stage] = max(0.0, run.seconds - full.seconds) / max(1, run.work.asked[stage])
        return cls(full_s=full.seconds, full_layers=dict(full.work.layers), layer_s=layers, check_s=checks)

    def share(self, work: NetWork, full: NetWork) -> float:
        """Return the time of `work` over that of the same rows at full depth, `full`, which may be other rows."""
        scale = sum(full.layers.values()) / max(1, sum(self.full_layers.values()))
        saved = sum((full.layers[stage] - work.layers[stage]) * own for stage, own in self.layer_s.items())
        spent = sum(work.asked[stage] * own for stage, own in self.check_s.items())
        return 1 + (spent - saved) / (self.full_s * scale)
