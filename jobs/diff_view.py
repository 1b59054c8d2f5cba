"""A `Diff` as tables for people and as plain values for programs; both say the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from jobs.diff import Diff
from jobs.diff_side import Side
from jobs.summary_view import flops
from jobs.terminal import pairs_table, printable

SCHEMA_VERSION = 1
_NOT_COMPARED = {
    "only_a_ok": "answered by A alone",
    "only_b_ok": "answered by B alone",
    "neither_ok": "answered by neither",
    "only_in_a": "committed by A alone",
    "only_in_b": "committed by B alone",
    "other_question": "about another image or prompt",
}


def diff_facts(found: Diff) -> dict[str, Any]:
    """Return every fact of the tables, exact, ready for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "task": found.task,
        "inputs": {
            "same_plan": found.inputs.same_plan,
            "shards": len(found.inputs.pairs),
            "only_a": list(found.inputs.only_a),
            "only_b": list(found.inputs.only_b),
        },
        "settings": list(found.settings),
        "rows": dict(found.rows),
        "compared": found.compared,
        "agreement": found.agreement,
        "a": asdict(found.a),
        "b": asdict(found.b),
        "flops_ratio": _ratio(found),
        "changes": [asdict(change) for change in found.changes],
        "notes": notes(found),
    }


def notes(found: Diff) -> list[str]:
    """Return what a reader of the figures must know."""
    said = [f"job {side} is not finished" for side, job in (("A", found.a), ("B", found.b)) if not job.finished]
    if not found.inputs.same_plan:
        said.append("the plans name other places or versions: shards were paired by name and size, images by digest")
    if found.inputs.only_a or found.inputs.only_b:
        left = len(found.inputs.only_a) + len(found.inputs.only_b)
        said.append(f"{left:,} shards that only one job reads were left out")
    said.append("speeds are of two runs at two times: no measurement of time saved; that needs timing windows")
    return said


def diff_view(found: Diff) -> Group:
    """Return the comparison for people."""
    agreement = "nothing to compare" if found.agreement is None else f"{100 * found.agreement:.2f} %"
    left = [f"{found.rows[name]:,} {words}" for name, words in _NOT_COMPARED.items() if found.rows[name]]
    lines = [
        ("agreement", f"{agreement}: {found.rows['same']:,} of {found.compared:,} rows have the same answer"),
        ("not compared", ", ".join(left) or "none"),
        ("set differently", "; ".join(found.settings) or "nothing that may change a result"),
    ]
    return Group(pairs_table(lines), Text(), _sides(found), *_changes(found))


def _sides(found: Diff) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("of the rows compared", style="bold")
    for name in ("A", "B"):
        table.add_column(name, justify="right", overflow="fold")
    for label, show in (
        ("output", lambda side: printable(side.output)),
        ("model", lambda side: side.model),
        ("FLOPs executed", lambda side: flops(side.flops_executed)),
        ("of full depth, same length", _share),
        ("layers run, image", lambda side: _number(side.mean_layers["image"])),
        ("layers run, text", lambda side: _number(side.mean_layers["text"])),
        ("layers run, per token", lambda side: _number(side.mean_layers["decoder"])),
        ("tokens", lambda side: _number(side.mean_tokens)),
        ("speed of the whole run", _speed),
    ):
        table.add_row(label, Text(show(found.a)), Text(show(found.b)))
    ratio = _ratio(found)
    if ratio is not None:
        table.add_row("FLOPs, B over A", "", f"{ratio:.3f}")
    return table


def _changes(found: Diff) -> list[Any]:
    if not found.changes:
        return []
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name in ("changed most", "differs", "A", "B"):
        table.add_column(name, overflow="fold")
    for change in found.changes:
        table.add_row(
            Text(printable(change.uid_a)),
            f"{change.difference:.2f}",
            Text(printable(change.answer_a)),
            Text(printable(change.answer_b)),
        )
    return [Text(), table]


def _ratio(found: Diff) -> float | None:
    return found.b.flops_executed / found.a.flops_executed if found.a.flops_executed else None


def _share(side: Side) -> str:
    full = side.flops_full_same_length
    return f"{100 * side.flops_executed / full:.1f} %" if full else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _speed(side: Side) -> str:
    if side.rows_per_s is None:
        return "not measured"
    return f"{side.rows_per_s:,.2f} rows/s" + (f" on {side.cores} cores" if side.cores else "")
