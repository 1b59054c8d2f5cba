"""What shadow rows tell: how often full depth gives the same answer, and what it would have cost."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from jobs.audit_record import AuditRecord, audit_records, audited_rows
from jobs.audit_rule import From
from jobs.interval import Interval, NotMeasured
from jobs.shadow_sample import SelectedRow, ShadowSample, ShadowStratum, shadow_sample
from jobs.weighted import Sample, ratio_interval, share_bound, share_interval
from pipeline.actor_audit import shadow_selection
from pipeline.ledger import Ledger

ENOUGH_SHARDS = 20
"""From so many shards on they may be the clusters."""
NEGLIGIBLE = 0.01
"""Share of selected rows that may be lost, at most, for the others to stand for them."""

Source = Literal["run", "audit"]
"""Shadow rows that were committed with their rows, or those of `mue audit run` afterwards."""


@dataclass(frozen=True, kw_only=True)
class ShadowEstimate:
    """What was found, over the `ok` rows of all strata with a rate above 0."""

    source: Source
    attempt: str | None
    """Of `mue audit run`; None where the shadow rows were committed with their rows."""
    audits: int
    """That ran rows again after the job, this one included; 0 where the shadow rows are the run's own."""
    rule_from: From
    """Whether the rule that chose the rows was fixed in the plan, or only for the audit, when answers were known."""
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
    """Most disagreement that was declared acceptable, as a share; None: no claim was declared."""
    margin_from: From | None
    """Whether it was declared in the plan, before the run, or with the audit after it."""
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
    def loss_is_negligible(self) -> bool:
        """Whether few rows are lost, and if all of those disagreed, the share that agrees would be in its interval."""
        few = self.lost <= NEGLIGIBLE * self.selected
        return few and self.agreement_if_lost_disagree.estimate >= self.agreement.low

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
    plan = ledger.plan()
    if any(plan.audit_rates.values()):
        sample = shadow_sample(ledger, shadow_selection(plan))
        return estimated(sample, margin=plan.audit_margin)
    records = [record for record in audit_records(ledger) if record.shadows is not None]
    if not records:
        return NotMeasured(
            reason="no shadow rows: the plan selects none (audit.rate 0); 'mue audit run' looks at finished jobs"
        )
    return audit_estimate(ledger, records[-1])


def audit_estimate(ledger: Ledger, record: AuditRecord) -> ShadowEstimate | NotMeasured:
    """Return what the rows of one `mue audit run` tell."""
    rule = replace(shadow_selection(ledger.plan()), seed=record.seed, rates=record.rates)
    sample = shadow_sample(ledger, rule, audited_rows(ledger, record))
    audits = sum(each.shadows is not None for each in audit_records(ledger))
    return estimated(sample, margin=record.margin, record=record, audits=audits)


def estimated(
    sample: ShadowSample, *, margin: float | None, record: AuditRecord | None = None, audits: int = 0
) -> ShadowEstimate | NotMeasured:
    """Return the estimates of a sample; `record`: of one of so many `audits`, in place of the run itself."""
    shadowed = [row for row in sample.rows if row.shadow is not None]
    if not shadowed:
        what = f"{len(sample.rows)} selected rows have no result" if sample.rows else "no row was selected"
        return NotMeasured(reason=f"no shadow rows: {what}; 'mue audit plan' says which rates a job needs")
    agrees, disagrees_or_lost = _agreed(shadowed), ~_agreed(sample.rows)
    by: Literal["image", "shard"] = max(
        _clusterings(shadowed), key=lambda by: _width(share_interval(_weighted(shadowed, by), agrees))
    )
    weighted, everyone = _weighted(shadowed, by), _weighted(sample.rows, by)
    longer = np.array([row.shadow["flops"] - row.flops_full_same_length for row in shadowed if row.shadow], float)
    rows, same_length = sample.covered("rows"), sample.covered("full_same_length")
    mean = _mean_difference(weighted, longer, largest=same_length / rows)
    full = Interval(**{name: same_length + rows * getattr(mean, name) for name in ("estimate", "low", "high")})
    executed = sample.covered("executed")
    lengths = [np.array(each, float) for each in zip(*map(_lengths, shadowed), strict=True)]
    worst = share_interval(everyone, ~disagrees_or_lost)
    return ShadowEstimate(
        source="audit" if record else "run",
        attempt=record.attempt if record else None,
        audits=audits,
        rule_from=record.rule_from if record else "plan",
        seed=sample.selection.seed,
        strata=sample.strata,
        clustered_by=by,
        clusters=weighted.cluster_count,
        agreement=share_interval(weighted, agrees),
        agreement_if_lost_disagree=worst,
        flops_executed=executed,
        flops_full=full,
        saved_share=Interval(**{name: _saved(executed, getattr(full, name)) for name in ("estimate", "low", "high")}),
        length_ratio=ratio_interval(weighted, *lengths),
        margin=margin,
        margin_from=record.margin_from if record else None if margin is None else "plan",
        margin_met=None if margin is None else share_bound(everyone, disagrees_or_lost) < margin,
    )


def _mean_difference(sample: Sample, values: np.ndarray, *, largest: float) -> Interval:
    """Return the mean of `values` over rows. Where all are 0, unseen ones may not be: by `largest` each at most."""
    found = ratio_interval(sample, values, np.ones(sample.size))
    if values.any():
        return found
    reach = largest * share_interval(sample, np.zeros(sample.size, bool)).high
    return replace(found, low=-reach, high=reach)


def _agreed(rows: Sequence[SelectedRow]) -> np.ndarray:
    return np.array([row.shadow is not None and row.shadow["agrees"] for row in rows], bool)


def _lengths(row: SelectedRow) -> tuple[int, int]:
    assert row.shadow is not None
    return row.shadow["n_tokens"], row.n_tokens


def _clusterings(rows: Sequence[SelectedRow]) -> list[Literal["image", "shard"]]:
    """Shards are clusters only where there are enough of them to tell how much they differ."""
    return ["image", "shard"] if len({row.shard_id for row in rows}) >= ENOUGH_SHARDS else ["image"]


def _weighted(rows: Sequence[SelectedRow], by: Literal["image", "shard"]) -> Sample:
    """Rows of an image may be all alike; those of a shard are not, however much shards differ."""
    images = _numbered([row.image for row in rows])
    return Sample(
        weights=np.array([1 / row.rate for row in rows]),
        clusters=images if by == "image" else _numbered([row.shard_id for row in rows]),
        alike=images,
    )


def _numbered(names: Sequence[Hashable]) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


def _saved(executed: int, full: float) -> float:
    return 1 - executed / full if full > 0 else -math.inf


def _width(interval: Interval) -> float:
    return interval.high - interval.low
