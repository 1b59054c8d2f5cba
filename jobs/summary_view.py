"""A `Summary` as a table for people and as plain values for programs; both say the same.

FLOPs, measured speed and the paper's layer metric are three different things and never share a line.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from jobs.interval import Interval
from jobs.progress import duration
from jobs.summary import Summary
from jobs.terminal import pairs_table

TIME_NOT_MEASURED = "not measured in this run"
_UNITS = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def summary_facts(summary: Summary) -> dict[str, Any]:
    """Return every fact of the table, exact, ready for JSON."""
    return {
        **asdict(summary),
        "flops_saved_share": summary.saved_share,
        "flops_saved_share_net_of_checks": summary.net_saved_share,
        "paper_layer_metric": summary.paper_layer_metric,
        "measured_time_saved": summary.time_saved.document() if summary.time_saved else None,
        "notes": notes(summary),
    }


def notes(summary: Summary) -> list[str]:
    """Return what a reader of the figures must know."""
    found = [] if summary.time_saved else [f"measured time saved: {TIME_NOT_MEASURED}"]
    if summary.model_caveat:
        found.insert(0, summary.model_caveat)
    return found


def summary_table(summary: Summary) -> Table:
    """Return the facts as a table of two columns."""
    return pairs_table(_lines(summary))


def _lines(summary: Summary) -> list[tuple[str, str]]:
    by_status = ", ".join(f"{count:,} {status}" for status, count in summary.rows_by_status.items() if count)
    lines = [("rows", f"{summary.rows:,}" + (f": {by_status}" if by_status else ""))]
    if summary.errors_by_code:
        lines.append(("errors", _listed(summary.errors_by_code)))
    lines.append(("shards", f"{summary.shards_done:,} of {summary.shards_total:,} done, {summary.shards_bad:,} bad"))
    if summary.bad_shards_by_code:
        lines.append(("bad shards", _listed(summary.bad_shards_by_code)))
    lines += [
        ("mean layers run, image", _depth(summary.mean_image_layers, summary.encoder_layers)),
        ("mean layers run, text", _depth(summary.mean_text_layers, summary.encoder_layers)),
        ("mean layers run, decoder", _depth(summary.mean_decoder_layers, summary.decoder_layers, " per token")),
        ("FLOPs executed", flops(summary.flops_executed)),
        ("FLOPs at full depth", f"{flops(summary.flops_full_same_length)}, same rows and lengths"),
        ("FLOPs saved", _saved(summary)),
        ("FLOPs of checks", f"{flops(summary.flops_checks)}, not in FLOPs executed"),
        ("FLOPs reused", f"{flops(summary.flops_reused)}, not a saving of early exit{_reused(summary)}"),
        ("FLOPs of padding", f"{flops(summary.flops_padding)}, not in FLOPs executed"),
    ]
    if summary.flops_of_other_rows:
        lines.append(("FLOPs without a result", f"{flops(summary.flops_of_other_rows)}, for rows that are not ok"))
    lines += [
        ("paper's layer metric", f"{_percent(summary.paper_layer_metric)} of layers not run; neither FLOPs nor time"),
        ("measured speed", _speed(summary)),
        ("measured time saved", _time_saved(summary)),
    ]
    if summary.agreement:
        lines.append(("same answer at full depth", f"{range_of(summary.agreement)} of rows, by shadow rows"))
    return [*lines, ("model", (summary.model_caveat or summary.model).removeprefix("model "))]


def _reused(summary: Summary) -> str:
    """What was shared, largest first, where anything was."""
    names = {
        "tables": "position tables",
        "text": "prompts",
        "image": "images of several rows",
        "cross_kv": "keys and values of prompts and images",
    }
    parts = {name: getattr(summary, f"flops_reused_{what}") for what, name in names.items()}
    shared = sorted((name for name in parts if parts[name]), key=lambda name: -parts[name])
    return ": " + ", ".join(f"{name} {flops(parts[name])}" for name in shared) if shared else ""


def flops(count: int) -> str:
    """Return a count of FLOPs to four digits, as in `1.235 TFLOP`."""
    power = min((len(str(abs(count))) - 1) // 3, len(_UNITS) - 1)
    if power == 0:
        return f"{count} FLOP"
    # Integers up to the last step: a float cannot hold the sum of a large job.
    thousandths = count * 1000 // 1000**power
    whole, rest = divmod(thousandths, 1000)
    decimals = max(0, 4 - len(str(whole)))
    digits = f"{whole}.{rest:03d}"[: len(str(whole)) + 1 + decimals].rstrip(".")
    return f"{digits} {_UNITS[power]}FLOP"


def _saved(summary: Summary) -> str:
    if summary.saved_share is None:
        return "nothing to compare yet"
    net = _percent(summary.net_saved_share)
    return f"{_percent(summary.saved_share)} of full depth by early exit; {net} with the checks counted"


def _speed(summary: Summary) -> str:
    if summary.rows_per_s is None:
        return "no measurement in this folder"
    wall = f" over {duration(summary.wall_s)}" if summary.wall_s is not None else ""
    return f"{summary.rows_per_s:,.2f} rows/s{wall}"


def _time_saved(summary: Summary) -> str:
    return f"{range_of(summary.time_saved)}, by timing windows" if summary.time_saved else TIME_NOT_MEASURED


def range_of(share: Interval) -> str:
    """Return an estimated share with its range, as in `90.2 % (79.4 to 96.4)`."""
    return f"{100 * share.estimate:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _depth(mean: float | None, layers: int | None, unit: str = "") -> str:
    if mean is None:
        return "no rows yet"
    return f"{mean:.2f}" + (f" of {layers}" if layers is not None else "") + unit


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
