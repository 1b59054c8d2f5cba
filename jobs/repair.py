"""What is wrong with an output folder, and how it is put right. Nothing is changed before `mend` is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group
from rich.text import Text

from jobs.file_times import file_times
from jobs.run_record import new_attempt
from jobs.terminal import pairs_table
from pipeline.intervals import length
from pipeline.lease import FOLDER as LEASE
from pipeline.lease_keeper import held_lease
from pipeline.ledger import MANIFEST, Ledger
from pipeline.part_damage import PartDamage, damaged_parts
from pipeline.progress import Overlap
from pipeline.receipts import Receipt
from pipeline.repair import withdraw
from pipeline.unfinished import UnfinishedWrite, unfinished_writes

_NAMED = 20
"""Most files that the view for people names one by one."""
_LEASE_S = 60.0
_LEFT_S = 600.0
"""Seconds after which an unfinished write, or a part without a receipt, is nobody's. While `mend` holds the lease no
job runs, but a process may outlive its driver for a while. Should it miss its unfinished file, it fails and nothing is
lost; but the receipt that it may be about to write would name a part that was deleted."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What `mend` would put right."""

    output: str
    overlaps: tuple[Overlap, ...]
    """Rows that two live parts hold: the end of a job puts them right as well."""
    damaged: tuple[PartDamage, ...]
    """Live parts whose file is not the one that was committed."""
    orphans: tuple[str, ...]
    """Files in data/ that no receipt names: what a crash left before its receipt. No reader looks at them."""
    unfinished: tuple[UnfinishedWrite, ...]
    """What killed writers left half written, and under a running job what it is writing."""
    orphans_kept: tuple[str, ...] = ()
    """Those too young to be deleted: a process that outlived its driver may be about to commit them."""
    stale_manifest: bool
    """The manifest does not name the files as they are now: a retry or an audit was killed, or one is at work."""
    parts: int
    """Live parts that were looked at."""
    read_bytes: bool
    """Every byte was read; else sizes alone were compared."""

    @property
    def rows_twice(self) -> int:
        """Rows that are committed once too often."""
        return sum(length(overlap.rows) for overlap in self.overlaps)

    @property
    def rows_lost(self) -> int:
        """Input rows in damaged parts: the next run computes them again."""
        return sum(length(ranges) for damage in self.damaged for ranges in damage.receipt.ranges.values())

    @property
    def left_behind(self) -> tuple[UnfinishedWrite, ...]:
        """Unfinished writes that nobody can be at any more."""
        return tuple(write for write in self.unfinished if write.age_s > _LEFT_S)

    @property
    def sound(self) -> bool:
        """Whether every committed row is there, and once."""
        return not self.overlaps and not self.damaged


def examine(ledger: Ledger, *, read_bytes: bool) -> Findings:
    """Look at every receipt and every live part; with `read_bytes` at each byte."""
    listed = ledger.storage.list("data")  # before the receipts: a part that is committed meanwhile is no orphan
    receipts = ledger.receipts()
    named = _named(receipts)
    return Findings(
        output=ledger.storage.url,
        overlaps=tuple(ledger.overlaps()),
        damaged=tuple(damaged_parts(ledger.storage, receipts, read_bytes=read_bytes)),
        orphans=tuple(path for path in listed if path not in named),
        unfinished=tuple(unfinished_writes(ledger.storage)),
        stale_manifest=ledger.manifest_is_stale(),
        parts=len(ledger.live_parts()),
        read_bytes=read_bytes,
    )


def _named(receipts: Iterable[Receipt]) -> set[str]:
    """Files of data/ that have a receipt, live or replaced."""
    return {receipt.part.path for receipt in receipts if receipt.part is not None}


def mend(ledger: Ledger, *, read_bytes: bool, delete_orphans: bool) -> Findings:
    """Withdraw damaged parts, leave no row in two parts, clear unfinished writes away; return what was found before.

    Runs under the lease, for a part without a receipt may be one that a driver is about to commit. Stopped anywhere it
    can be repeated. Where rows are missing afterwards the manifest is taken away; else it is written anew.

    Raises:
        LeaseHeld: A driver works on the folder.
    """
    with held_lease(ledger.storage, attempt=f"repair-{new_attempt()}", length_s=_LEASE_S):
        findings = examine(ledger, read_bytes=read_bytes)
        was_finished = ledger.storage.exists(MANIFEST)
        if findings.damaged:
            ledger.storage.delete(MANIFEST)
        for damage in findings.damaged:
            withdraw(ledger.storage, damage.receipt)
        ledger.repair()
        for write in findings.left_behind:
            ledger.storage.delete(write.path)
        if delete_orphans:
            kept = _young(ledger, findings.orphans)
            # A repair that was killed before its receipt left a part that this one has committed.
            for path in set(findings.orphans) - set(kept) - _named(ledger.receipts()):
                ledger.storage.delete(path)
            findings = replace(findings, orphans_kept=kept)
        plan = ledger.plan()
        if was_finished and not ledger.progress().unfinished(plan):
            ledger.finalize(plan)
    return findings


def _young(ledger: Ledger, orphans: Iterable[str]) -> tuple[str, ...]:
    """Those that may still be committed. Their age is told by the store's clock alone, as it dated our own lease."""
    now, times = max(file_times(ledger, LEASE).values(), default=None), file_times(ledger, "data")
    if now is None:
        return tuple(orphans)
    return tuple(path for path in orphans if path not in times or (now - times[path]).total_seconds() <= _LEFT_S)


def findings_facts(findings: Findings, *, mended: bool, orphans_deleted: bool) -> dict[str, Any]:
    """Return the findings ready for JSON."""
    return {
        "output": findings.output,
        "mended": mended,
        "sound": findings.sound,
        "parts": findings.parts,
        "bytes_read": findings.read_bytes,
        "rows_twice": findings.rows_twice,
        "overlaps": [
            {
                "shard_id": overlap.shard_id,
                "rows": [list(rows) for rows in overlap.rows],
                "keeper": overlap.keeper,
                "loser": overlap.loser,
            }
            for overlap in findings.overlaps
        ],
        "rows_lost": findings.rows_lost,
        "damaged": [
            {
                "path": damage.path,
                "receipt": damage.receipt.id,
                "what": damage.what,
                "rows": {shard: [list(rows) for rows in ranges] for shard, ranges in damage.receipt.ranges.items()},
            }
            for damage in findings.damaged
        ],
        "orphans": list(findings.orphans),
        "orphans_deleted": orphans_deleted,
        "orphans_kept": list(findings.orphans_kept),
        "stale_manifest": findings.stale_manifest,
        "unfinished": [write.path for write in findings.unfinished],
        "left_behind": [write.path for write in findings.left_behind],
    }


def findings_view(findings: Findings, *, mended: bool, orphans_deleted: bool) -> Group:
    """Return the findings for people: what was wrong, what was done, and what is to be done."""
    looked = "every byte" if findings.read_bytes else "sizes alone"
    head = [("job", findings.output), ("live parts", f"{findings.parts:,}, by {looked}")]
    if findings.rows_twice:
        done = "removed from the later part" if mended else "--apply removes them from the later part"
        head.append(("rows in two parts", f"{findings.rows_twice:,}: {done}"))
    if findings.damaged:
        done = "withdrawn" if mended else "--apply withdraws them"
        again = f"the next 'mue run' computes their {findings.rows_lost:,} input rows again"
        head.append(("damaged parts", f"{len(findings.damaged):,}: {done}, and {again}"))
    if findings.orphans:
        minutes = f"{_LEFT_S / 60:g} minutes"
        done = f"harmless; --delete-orphans deletes those older than {minutes}"
        if orphans_deleted:
            done = "deleted"
        if findings.orphans_kept:
            deleted, kept = len(findings.orphans) - len(findings.orphans_kept), len(findings.orphans_kept)
            why = "a process that outlived its driver may still commit them"
            done = f"{deleted:,} deleted; {kept:,} not older than {minutes} kept, as {why}"
        head.append(("files without a receipt", f"{len(findings.orphans):,}: {done}"))
    if findings.unfinished:
        done = "deleted" if mended else "--apply deletes them"
        old = f"{len(findings.left_behind):,} older than {_LEFT_S / 60:g} minutes: {done}"
        n_bytes = sum(write.bytes for write in findings.unfinished)
        head.append(("unfinished writes", f"{len(findings.unfinished):,} of {n_bytes:,} bytes in all; {old}"))
    if findings.stale_manifest:
        told = "does not name the files as they are now, as after a retry or an audit that was killed"
        done = "written anew where no row is missing" if mended else "--apply writes it anew"
        head.append(("manifest", f"{told}: {done}"))
    if findings.sound:
        head.append(("verdict", "sound: every committed row is there, and once"))
    lines = [f"{damage.path} {damage.what}" for damage in findings.damaged]
    lines += [f"{path} has no receipt" for path in findings.orphans]
    lines += [f"{write.path} was never finished" for write in findings.unfinished]
    if len(lines) > _NAMED:
        lines = [*lines[:_NAMED], f"and {len(lines) - _NAMED:,} more; --json names all"]
    return Group(pairs_table(head), *(Text(line) for line in lines))
