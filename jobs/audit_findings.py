"""The two figures of an audit that a summary shows; None where there is nothing to tell, and nothing is read then."""

from __future__ import annotations

from jobs.interval import Interval
from jobs.shadow_estimate import ShadowEstimate, shadow_estimate
from jobs.timing_windows import TimingWindows, timing_windows
from pipeline.ledger import Ledger


def agreement(ledger: Ledger) -> Interval | None:
    """Return the share of rows to which full depth gives the same answer."""
    found = shadow_estimate(ledger)
    return found.agreement if isinstance(found, ShadowEstimate) else None


def time_saved(ledger: Ledger) -> Interval | None:
    """Return the share of time saved, of two timing windows or more."""
    found = timing_windows(ledger)
    return found.saved_share if isinstance(found, TimingWindows) else None
