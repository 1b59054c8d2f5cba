"""How many shadow rows a claim needs, and which rate gives them: told before the job, so that it can be declared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobs.shares import rows_for
from mue_model.config import ConfigError

TRUTHS = (0.0, 0.1, 0.25, 0.5)
"""Shares of the margin that the true disagreement may be: the nearer, the more rows it takes to tell."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What it takes where the truth is so."""

    truth: float
    """True share of rows to which full depth gives another answer."""
    rows: int
    """Shadow rows."""
    rate: float | None
    """`audit.rate` that gives them; None where the job's rows are not known."""
    enough: bool
    """Whether the job has so many rows at all."""


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What to declare and to set."""

    margin: float
    power: float
    rows: int | None
    """`ok` rows that the job will have; None: unknown."""
    needs: tuple[Need, ...]


def parse_share(text: str, *, option: str) -> float:
    """Return a share from `0.5pp` (percentage points), `0.5%` or `0.005`; raise `ConfigError` for anything else."""
    for unit in ("pp", "%"):
        if text.endswith(unit):
            number, scale = text.removesuffix(unit).strip(), 100.0
            break
    else:
        number, scale = text, 1.0
    try:
        value = float(number) / scale
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise ConfigError(f"{option} {text}: expected a share such as 0.5pp (percentage points) or 0.005")
    return value


def audit_plan(margin: float, *, power: float, truth: float | None = None, rows: int | None = None) -> AuditPlan:
    """Return the rows that show, with probability `power`, that disagreement is below `margin` (95 %, one-sided).

    Args:
        margin: Largest share of rows that may differ.
        power: Of the test.
        truth: True share that differs; left out: several, as far as they go.
        rows: `ok` rows that the job will have, by which rates are told.

    Raises:
        ConfigError: The margin cannot be shown, or the power is no probability.
    """
    if not 0 < margin < 1 or not 0 < power < 1:
        raise ConfigError(f"--margin {margin} and --power {power}: both must lie between 0 and 1")
    if truth is not None and truth >= margin:
        raise ConfigError(f"--truth {truth} is not below --margin {margin}: no number of rows could show it")
    truths = (truth,) if truth is not None else tuple(margin * share for share in TRUTHS)
    return AuditPlan(
        margin=margin, power=power, rows=rows, needs=tuple(_need(margin, each, power, rows) for each in truths)
    )


def _need(margin: float, truth: float, power: float, rows: int | None) -> Need:
    needed = rows_for(margin, truth=truth, power=power)
    if rows is None:
        return Need(truth=truth, rows=needed, rate=None, enough=True)
    return Need(truth=truth, rows=needed, rate=rate_for(needed, rows), enough=needed <= rows)


def rate_for(needed: int, rows: int) -> float:
    """Return a rate, to two digits upwards, at which `needed` of `rows` rows are chosen in all but 1 of 1,000 jobs."""
    if needed >= rows:
        return 1.0
    # Each row is chosen on its own, so the number varies: what is needed lies 3.1 standard deviations below the mean.
    expected = ((3.1 + math.sqrt(3.1**2 + 4 * needed)) / 2) ** 2
    exponent = math.floor(math.log10(expected / rows)) - 1
    return min(1.0, round(math.ceil(expected / rows / 10**exponent) * 10**exponent, 12))
