"""How a report says things: names, notes, and numbers in words. Shared by the page and the Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.progress import duration
from jobs.report_verdict import percent

WORDS = {
    "checks": "checks whether to stop",
    "padding": "padding",
    "shadow": "shadow rows at full depth (the audit's own cost)",
    "rows_without_a_result": "rows without an answer",
    "discarded": "rows computed once more than they count",
    "tables": "position tables",
    "text": "prompts",
    "image": "images of several rows",
    "cross_kv": "keys and values of those",
    "time": "Time, measured",
    "gpu_energy": "Energy of the GPUs, counted",
    "gpu_energy_counted": "of it, as far as it was counted",
    "machine_energy": "Energy of the machines",
    "energy": "Energy at the meter",
    "carbon": "Carbon",
    "electricity_cost": "Cost of electricity",
    "machine_cost": "Cost of machines",
}
SECONDS = (
    ("actor_s", "Model processes together"),
    ("load_s", "− loading the model"),
    ("warm_up_s", "− compiling and warming up"),
    ("idle_s", "− waiting for rows"),
    ("shadow_s", "− shadow rows"),
    ("windows_s", "− timing windows"),
    ("windows_drain_s", "− emptying the process for them; partly work"),
    ("failed_attempts_s", "− attempts that were not committed"),
)
GROUPS = (
    ("disagree", "Where full depth says something else", "The most different first, of all rows that were checked."),
    ("shallow", "Settled earliest", "Answered with the fewest layers."),
    ("deep", "Settled last", "Answered with the most layers."),
    ("drawn", "Drawn by lot", "Chosen by numbers that follow from the job's fingerprint, so nobody picked them."),
)
_SHORT = 300


def quantity(value: float) -> str:
    """Return a number to three digits that count, never 0 for what is not."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(value: float) -> str:
    """Return a duration: seconds up to ten minutes, longer ones as people say them."""
    return f"{value:,.1f} s" if value < 600 else duration(value)


def ranged(found: Mapping[str, Any]) -> str:
    """Return an interval in words."""
    low, high = ("no bound" if found[end] is None else percent(found[end], 2) for end in ("low", "high"))
    return f"{low} to {high}, {found['confidence']:.0%} confidence"


def ratio(value: float | None) -> str:
    """Return a ratio; of JSON's null, which stands for infinity, that there is no bound."""
    return "no bound" if value is None else f"{value:.2f}"


def short(text: str | None) -> str:
    """Return a text no longer than a page bears."""
    text = text or ""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}… ({len(text):,} characters)"


def gap(document: Mapping[str, Any]) -> str:
    """Return what to make of arithmetic and time beside each other."""
    spared = document["savings"]["a_same_length_flops"]["share_saved_by_early_exit"]
    time = document["savings"]["c_time"]
    if spared is None:
        return "There is nothing to compare yet."
    if not time["measured"]:
        return "Arithmetic is not time: " + time["reason"] + "."
    interval = time["saved_share"]
    bounds = (interval["low"], interval["high"]) if interval else (None, None)
    if bounds[0] is None or bounds[1] is None or bounds[0] <= 0 <= bounds[1]:
        return "The windows are too few or too unsteady to hold time against arithmetic."
    saved = 1 - time["point_ratio"]
    difference = 100 * (spared - saved)
    if abs(difference) < 0.05:
        return "As much time was spared as arithmetic."
    which, other = ("Time", "arithmetic") if difference > 0 else ("Arithmetic", "time")
    return (
        f"{which} is spared less than {other}, by {abs(difference):.1f} points: memory, bookkeeping, checks and thin "
        "groups take time and no FLOPs, and a machine may not be equally good at all of them."
    )
