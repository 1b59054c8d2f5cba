"""What an audit plans and finds, in words and as JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from jobs.audit_plan import AuditPlan
from jobs.interval import Interval, NotMeasured
from jobs.shadow_estimate import ShadowEstimate
from jobs.terminal import pairs_table
from jobs.timing_windows import TimingWindows


def plan_view(plan: AuditPlan) -> Table:
    """Return a table of what it takes, by what the truth may be."""
    table = Table("if full depth differs on", "shadow rows", "audit.rate", box=None, pad_edge=False)
    for need in plan.needs:
        rate = "give --rows" if need.rate is None else f"{need.rate:g}"
        if not need.enough:
            rate = f"not enough rows: {plan.rows:,}"
        table.add_row(points(need.truth), f"{need.rows:,}", rate)
    return table


def points(share: float) -> str:
    """Return a share in per cent, as in `0.125 %`."""
    return f"{100 * share:.3g} %"


def found_view(shadows: ShadowEstimate | NotMeasured, windows: TimingWindows | NotMeasured) -> Table:
    """Return a table of what was found."""
    return pairs_table([*agreement_lines(shadows), *window_lines(windows)])


def agreement_lines(found: ShadowEstimate | NotMeasured) -> list[tuple[str, str]]:
    """Return what shadow rows tell, line by line."""
    if isinstance(found, NotMeasured):
        return [("agreement", f"not measured: {found.reason}")]
    where = "" if found.source == "run" else ", measured afterwards"
    lost = f", {found.lost:,} lost" if found.lost else ""
    lines = [
        ("shadow rows", f"{found.shadowed:,} of {found.rows:,} ok rows{lost}{where}"),
        ("same answer at full depth", f"{_share(found.agreement)}; {found.disagreed:,} differ"),
        ("FLOPs saved, counterfactual", f"{_share(found.saved_share)}, texts as long as full depth makes them"),
    ]
    if found.lost:
        lines.append(("if all lost rows differ", _share(found.agreement_if_lost_disagree)))
    if found.rows_not_covered:
        lines.append(("not covered", f"{found.rows_not_covered:,} ok rows of strata with rate 0"))
    if found.margin is not None:
        verdict = "shown" if found.margin_met else "not shown"
        when = "" if found.margin_from == "plan" else ", named after the run"
        lines.append(("margin", f"fewer than {points(found.margin)} differ: {verdict} (95 %, one-sided){when}"))
    return lines


def window_lines(found: TimingWindows | NotMeasured) -> list[tuple[str, str]]:
    """Return what timing windows tell, line by line."""
    if isinstance(found, NotMeasured):
        return [("measured time saved", f"not measured: {found.reason}")]
    count = f"{len(found.windows):,} windows" if len(found.windows) != 1 else "a single window, so no interval"
    where = "" if found.source == "run" else ", measured afterwards"
    if found.saved_share is None:
        return [("measured time saved", f"{points(1 - found.point_ratio)} in {count}{where}")]
    return [("measured time saved", f"{_share(found.saved_share)} in {count}{where}")]


def plan_facts(plan: AuditPlan) -> dict[str, Any]:
    """Return the plan as plain JSON values."""
    needs = [{"truth": each.truth, "rows": each.rows, "rate": each.rate, "enough": each.enough} for each in plan.needs]
    return {"margin": plan.margin, "power": plan.power, "confidence": 0.95, "rows": plan.rows, "needs": needs}


def _share(interval: Interval) -> str:
    return f"{100 * interval.estimate:.2f} % ({100 * interval.low:.2f} to {100 * interval.high:.2f})"
