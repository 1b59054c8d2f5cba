"""Estimates from rows that were chosen with known chances and come in clusters: no row of one image is on its own.

A row counts with one over its chance of being chosen. Shares get the exact interval of as many independent rows as
would have told as much (Korn and Graubard 1998), and never of more than there would be if those of an image were all
alike: few rows that differ say little about how alike they are, and none says nothing. Variances are those of the
clusters' totals after linearisation, clusters taken for draws from many: nothing is deducted where most rows were
chosen, which errs on the safe side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs.interval import CONFIDENCE, Interval
from jobs.shares import clopper_pearson, upper_bound

_MOST = 100.0
"""Logarithm of a factor that says nothing any more; larger ones are no numbers."""
MIN_CLUSTERS = 2
"""Fewer say nothing about how much clusters differ."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The rows that were chosen."""

    weights: np.ndarray
    """float64 [N]: one over the chance of being chosen."""
    clusters: np.ndarray
    """int64 [N]: rows with the same number belong together."""
    alike: np.ndarray | None = None
    """int64 [N]: rows with the same number may be all alike; left out: those of a cluster."""

    @property
    def size(self) -> int:
        """Rows."""
        return len(self.weights)

    @property
    def cluster_count(self) -> int:
        """Clusters with a row."""
        return len(np.unique(self.clusters))

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted sum of `values` [N] in each cluster."""
        return _totals(self.clusters, self.weights * values)

    def independent(self) -> float:
        """Return the independent rows of equal weight that tell as much if rows that may be alike are."""
        each = _totals(self.clusters if self.alike is None else self.alike, self.weights)
        return float(each.sum() ** 2 / (each**2).sum())


def _totals(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    _, places = np.unique(groups, return_inverse=True)
    return np.bincount(places, weights=values)


def ratio(sample: Sample, top: np.ndarray, bottom: np.ndarray) -> tuple[float, float]:
    """Return the weighted sum of `top` over that of `bottom`, and its standard error; infinite from one cluster."""
    whole = float((sample.weights * bottom).sum())
    found = float((sample.weights * top).sum()) / whole
    clusters = sample.cluster_count
    if clusters < MIN_CLUSTERS:
        return found, math.inf
    residuals = sample.totals(top - found * bottom)
    variance = clusters / (clusters - 1) * float((residuals**2).sum()) / whole**2
    return found, math.sqrt(variance)


def ratio_interval(sample: Sample, top: np.ndarray, bottom: np.ndarray) -> Interval:
    """Return the ratio of two weighted sums with Student's interval over clusters."""
    found, error = ratio(sample, top, bottom)
    reach = student(sample.cluster_count - 1) * error if math.isfinite(error) else math.inf
    return Interval(estimate=found, low=found - reach, high=found + reach)


def positive_ratio_interval(sample: Sample, top: np.ndarray, bottom: np.ndarray) -> Interval:
    """Return the same on a scale of logarithms: for sums that are above 0, the interval is too."""
    found, error = ratio(sample, top, bottom)
    factor = (
        math.exp(min(_MOST, student(sample.cluster_count - 1) * error / found)) if math.isfinite(error) else math.inf
    )
    return Interval(estimate=found, low=found / factor, high=found * factor)


def share_interval(sample: Sample, has: np.ndarray) -> Interval:
    """Return the weighted share of rows with `has` (bool [N]), with an interval that holds where it is 0 or 1 too."""
    found, rows = _effective(sample, has)
    exact = clopper_pearson(found * rows, rows)
    return Interval(estimate=found, low=exact.low, high=exact.high)


def share_bound(sample: Sample, has: np.ndarray) -> float:
    """Return the one-sided bound of the same share from above."""
    found, rows = _effective(sample, has)
    return upper_bound(found * rows, rows)


def _effective(sample: Sample, has: np.ndarray) -> tuple[float, float]:
    """The share, and the independent rows that would have told as much about it."""
    if sample.cluster_count < MIN_CLUSTERS:
        return float(has.mean()), 1.0
    found, error = ratio(sample, has.astype(np.float64), np.ones(sample.size))
    if not 0 < found < 1 or error == 0:
        return min(1.0, max(0.0, found)), sample.independent()
    few = (student(math.inf) / student(sample.cluster_count - 1)) ** 2
    return found, min(sample.independent(), found * (1 - found) / error**2 * few)


def student(degrees: float, *, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's distribution; of the normal one for infinite degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees if math.isfinite(degrees) else 1e12, (1 + confidence) / 2))
