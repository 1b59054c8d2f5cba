"""A verification for people: the evidence level, the verdict, then each test with what it found."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from jobs.terminal import pairs_table, printable
from jobs.verify import Verification
from jobs.verify_check import Check, Verdict
from pipeline.exit_codes import ExitCode

_SHOWN = 5
"""Findings of a check that are named one by one."""
_MARKS: dict[Verdict, str] = {"pass": "ok", "mismatch": "MISMATCH", "missing": "MISSING", "not_checked": "not checked"}
_VERDICTS = {
    ExitCode.OK: "pass: nothing disagrees",
    ExitCode.MISMATCH: "MISMATCH: what is named below does not agree",
    ExitCode.EVIDENCE_MISSING: "EVIDENCE MISSING: what is named below is needed for a verdict",
}


def verification_view(found: Verification) -> Group:
    """Return everything that was looked at, the level of evidence first."""
    evidence = found.evidence
    head = [
        ("evidence level", evidence.name),
        ("verdict", _VERDICTS[found.exit_code]),
        ("output", found.output),
    ]
    above = [step for step in evidence.steps if step.level > evidence.level and not step.met]
    if above:
        remedy = f"; {above[0].remedy}" if above[0].remedy else ""
        head.append((f"why not L{above[0].level}", above[0].reason + remedy))
    return Group(pairs_table(head), Text(), _table(found.checks))


def _table(checks: tuple[Check, ...]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, min_width=11)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        style = "" if check.verdict == "pass" else "red" if check.verdict in ("mismatch", "missing") else "yellow"
        table.add_row(Text(_MARKS[check.verdict], style=style), check.name, f"{check.examined:,}", Text(check.claim))
        for finding in check.findings[:_SHOWN]:
            table.add_row("", "", "", Text(printable(str(finding)), style="red"))
        if check.findings_total > _SHOWN:
            table.add_row("", "", "", Text(f"and {check.findings_total - _SHOWN:,} more; --json names the first 20"))
        for note in check.notes[:_SHOWN]:
            table.add_row("", "", "", Text(printable(note), style="dim"))
    return table
