"""Bounds of a share that was seen in a sample, exact (Clopper-Pearson), and how many rows a bound needs.

Source: Clopper and Pearson 1934.
"""

from __future__ import annotations

import math

from jobs.interval import CONFIDENCE, Interval


def clopper_pearson(seen: float, of: float, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact two-sided interval of a share of which `seen` of `of` draws had it; both may be fractions."""
    if not 0 <= seen <= of or not of > 0:
        raise ValueError(f"{seen} of {of} is no share")
    tail = (1 - confidence) / 2
    return Interval(
        estimate=seen / of,
        low=lower_bound(seen, of, confidence=1 - tail),
        high=upper_bound(seen, of, confidence=1 - tail),
        confidence=confidence,
    )


def upper_bound(seen: float, of: float, *, confidence: float = CONFIDENCE) -> float:
    """Return the exact one-sided bound from above."""
    # scipy takes a second to import, and not every command needs it.
    from scipy.special import betaincinv

    return 1.0 if seen >= of else float(betaincinv(seen + 1, of - seen, confidence))


def lower_bound(seen: float, of: float, *, confidence: float = CONFIDENCE) -> float:
    """Return the exact one-sided bound from below."""
    return 1 - upper_bound(of - seen, of, confidence=confidence)


def rows_for(margin: float, *, truth: float = 0.0, power: float = 0.9, confidence: float = CONFIDENCE) -> int:
    """Return the fewest draws that bound a share below `margin` with probability `power`, where it is `truth`.

    The bound is `upper_bound`, at `confidence`.

    Raises:
        ValueError: The truth is not below the margin, so no number of rows would do.
    """
    if not 0 <= truth < margin < 1:
        raise ValueError(f"a true share of {truth} cannot be shown to be below {margin}; it must be smaller")
    if not 0 < power < 1:
        raise ValueError(f"power {power} is not between 0 and 1")
    few, enough = 0, math.ceil(math.log(1 - confidence) / math.log1p(-margin))
    while _power(enough, margin, truth, confidence) < power:
        few, enough = enough, 2 * enough
    # Power grows with the rows, but for small steps back where one more disagreement becomes acceptable.
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _power(middle, margin, truth, confidence) >= power else (middle, enough)
    return enough


def _power(rows: int, margin: float, truth: float, confidence: float) -> float:
    """Probability that the bound of `rows` draws lies below `margin`."""
    from scipy.stats import binom

    most = int(binom.ppf(1 - confidence, rows, margin))
    while most >= 0 and upper_bound(most, rows, confidence=confidence) >= margin:
        most -= 1
    return float(binom.cdf(most, rows, truth)) if most >= 0 else 0.0
