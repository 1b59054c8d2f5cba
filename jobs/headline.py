"""The headline of a job's savings as exact texts, which `recompute.sql` gives to the last digit."""

from __future__ import annotations

from jobs.savings import Savings

_DIGITS = 12


def headline(found: Savings) -> dict[str, str | None]:
    """Return name and value of every line, in the order and words of `recompute.sql`; None where there is nothing."""
    total, overheads = found.total, found.flops_overheads
    numbers = {
        "rows": total.rows_ok + total.rows_failed + total.rows_filtered,
        "rows_ok": total.rows_ok,
        "rows_failed": total.rows_failed,
        "rows_filtered": total.rows_filtered,
        "flops_baseline": total.flops_full_same_length,
        "flops_executed": total.flops_executed,
        "flops_saved_by_early_exit": total.flops_saved_by_early_exit,
        "share_saved_by_early_exit": quotient(total.flops_saved_by_early_exit, total.flops_full_same_length),
        "flops_checks": overheads["checks"],
        "flops_padding": overheads["padding"],
        "flops_shadow": overheads["shadow"],
        "flops_without_a_result": overheads["rows_without_a_result"],
        "flops_discarded": overheads["discarded"],
        "flops_net": found.flops_net,
        "share_net": quotient(found.flops_net, total.flops_full_same_length),
        "flops_kv_fill": total.flops_kv_fill,
        "flops_reused": total.flops_reused,
        "flops_reused_tables": total.flops_reused_tables,
        "flops_reused_text": total.flops_reused_text,
        "flops_reused_image": total.flops_reused_image,
        "flops_reused_cross_kv": total.flops_reused_cross_kv,
        "rows_shadowed": total.rows_shadowed,
        "shadow_agrees": total.shadow_agrees,
        "paper_layer_metric": None if found.paper_layer_metric is None else f"{found.paper_layer_metric:.9f}",
    }
    return {name: None if value is None else str(value) for name, value in numbers.items()}


def quotient(part: int, whole: int) -> str | None:
    """Return part / whole to twelve digits, cut off and not rounded, in integers alone; None of nothing."""
    if not whole:
        return None
    scaled = abs(part) * 10**_DIGITS // whole
    return f"{'-' if part < 0 else ''}{scaled // 10**_DIGITS}.{scaled % 10**_DIGITS:0{_DIGITS}d}"
