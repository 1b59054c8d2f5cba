"""What shadow rows tell: how often full depth gives the same answer, and what it would have cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from jobs.interval import Interval, NotMeasured
from pipeline.ledger import Ledger
from pipeline.shadow_strata import Stratum

Source = Literal["run", "audit"]
"""Shadow rows that were committed with their rows, or those of `mue audit run` afterwards."""


@dataclass(frozen=True, kw_only=True)
class ShadowStratum:
    """Counts of one stratum of recorded depth, exact."""

    name: Stratum
    rate: float
    rows: int
    """With status `ok`."""
    selected: int
    shadowed: int
    disagreed: int

    @property
    def lost(self) -> int:
        """Selected, but without a result."""
        return self.selected - self.shadowed


@dataclass(frozen=True, kw_only=True)
class ShadowEstimate:
    """What was found, over the `ok` rows of all strata with a rate above 0."""

    source: Source
    attempt: str | None
    """Of `mue audit run`; None where the shadow rows were committed with their rows."""
    seed: int
    strata: tuple[ShadowStratum, ...]
    clustered_by: Literal["image", "shard"]
    """What rows were taken to depend on each other in: the one that gave the wider interval."""
    clusters: int
    """With a shadow row."""
    agreement: Interval
    """Share of rows to which full depth gives the same answer."""
    agreement_if_lost_disagree: Interval
    """The same with every lost shadow row taken for a disagreement."""
    flops_executed: int
    """Of the rows covered; checks are not in it."""
    flops_full: Interval
    """What the same rows would have executed at full depth, texts as long as they would have been there."""
    saved_share: Interval
    """1 - flops_executed / flops_full: savings (b)."""
    length_ratio: Interval
    """Tokens at full depth over tokens of the rows' own answers."""
    margin: float | None
    """Most disagreement that was declared acceptable before the run, as a share; None: no claim was declared."""
    margin_met: bool | None
    """Whether disagreement, lost rows counted as such, is below the margin with 95 % confidence, one-sided."""

    @property
    def rows(self) -> int:
        """`ok` rows that the estimate is about."""
        return sum(stratum.rows for stratum in self.strata if stratum.rate > 0)

    @property
    def rows_not_covered(self) -> int:
        """`ok` rows of strata with rate 0: nothing is known of them."""
        return sum(stratum.rows for stratum in self.strata if stratum.rate == 0)

    @property
    def selected(self) -> int:
        """Rows that the plan's rule selects."""
        return sum(stratum.selected for stratum in self.strata)

    @property
    def shadowed(self) -> int:
        """Rows with a result at full depth."""
        return sum(stratum.shadowed for stratum in self.strata)

    @property
    def lost(self) -> int:
        """Selected rows without a result at full depth."""
        return sum(stratum.lost for stratum in self.strata)

    @property
    def disagreed(self) -> int:
        """Rows to which full depth gives another answer."""
        return sum(stratum.disagreed for stratum in self.strata)

    def document(self) -> dict[str, Any]:
        """Return plain JSON values; integers are exact."""
        counts = ("rows", "rows_not_covered", "selected", "shadowed", "lost", "disagreed")
        strata = [asdict(stratum) | {"lost": stratum.lost} for stratum in self.strata]
        return {"measured": True, **asdict(self), "strata": strata, **{name: getattr(self, name) for name in counts}}


def shadow_estimate(ledger: Ledger) -> ShadowEstimate | NotMeasured:
    """Return what the job's shadow rows tell; those of the run itself, or else of its latest `mue audit run`."""
    return NotMeasured(reason="no shadow rows: plan the job with audit.rate, or run 'mue audit run' on its output")
