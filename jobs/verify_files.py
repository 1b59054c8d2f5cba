"""Files are those that the manifest names, with its digests and no others; receipts tile every shard once."""

from __future__ import annotations

from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from pipeline.canonical_json import digest_of
from pipeline.completeness import IncompleteJob, prove_complete
from pipeline.ledger import MANIFEST
from pipeline.progress import overlaps_of, progress_of
from pipeline.receipts import LedgerError, live
from pipeline.records import ShardState
from pipeline.storage import FileAbsent

_ORPHAN = "'mue repair OUT --delete-orphans' takes away what a crash left"
_STALE = "if a retry or an audit was killed, 'mue repair OUT --apply' writes the manifest anew"
_COVERED = ("data", "done", "done/compact", "failures", "audit", "metrics")
"""Folders in which every file is the manifest's."""


def documents(folder: Folder, tally: Tally) -> None:
    """The plan, the manifest, the receipts and the run's record are there, and are what their names say."""
    for name in ("plan.json", MANIFEST, "done", "run.json"):
        tally.look()
        if name in folder.problems:
            tally.missing(f"{folder.url}/{name}", "a document that can be read", folder.problems[name])
    if "run.json" not in folder.problems and not folder.attempts:
        tally.missing(f"{folder.url}/run.json", "what each attempt ran on")
    if folder.manifest is not None and not folder.manifest.rows:
        tally.missing(f"{folder.url}/{MANIFEST}", "rows", "none: nothing was computed, so nothing can be verified")


def digests(folder: Folder, tally: Tally) -> None:
    """Every file that the manifest names is there with its size and SHA-256."""
    assert folder.manifest is not None
    named = {path: (entry.bytes, entry.sha256) for path, entry in folder.manifest.files.items()}
    named |= {part.path: (part.bytes, part.sha256) for part in folder.manifest.parts}
    # Parts that others replaced do not count any more, but a receipt still vouches for them where they are.
    replaced = {
        receipt.part.path: (receipt.part.bytes, receipt.part.sha256)
        for receipt in folder.receipts or ()
        if receipt.part is not None and receipt.part.path not in named
    }
    gone = {path for receipt in folder.receipts or () for path in receipt.replaces} - {*named, *replaced}
    gone -= {*folder.ledger.storage.list("data")}
    for path, (size, sha256) in sorted((named | replaced).items()):
        try:
            data = folder.ledger.storage.read(path)
        except FileAbsent:
            if path in named:
                tally.missing(path, f"{size:,} bytes with SHA-256 {sha256}", "no such file")
            else:
                gone.add(path)
            continue
        found = f"SHA-256 {digest_of(data)} of {len(data):,} bytes"
        if path == "run.json" and digest_of(data) != sha256:
            found = f"{found}; {_STALE}"  # every attempt writes it, and a killed one nothing after it
        tally.expect(path, f"SHA-256 {sha256} of {size:,} bytes", found)
    if gone:
        # Lost with a disk and computed anew, perhaps: no command deletes a part that has a receipt.
        tally.not_checked(
            f"{len(gone):,} parts that others replaced are gone, the first is {min(gone)}: what they cost is in no "
            "overhead, so flops_discarded is at least what it says, and flops_net at most"
        )


def no_extra_files(folder: Folder, tally: Tally) -> None:
    """No file lies among those it covers that neither the manifest nor one of its receipts names."""
    assert folder.manifest is not None
    known = {*folder.manifest.files, *(part.path for part in folder.manifest.parts)}
    known |= {receipt.part.path for receipt in folder.receipts or () if receipt.part is not None}
    for covered in _COVERED:
        for path in folder.ledger.storage.list(covered):
            tally.look()
            if path not in known:
                advice = _ORPHAN if covered == "data" else _STALE
                tally.mismatch(path, "no file that the manifest does not name", f"one more; {advice}")


def receipts(folder: Folder, tally: Tally) -> None:
    """The live parts are the manifest's, and every receipt is of an attempt and of shards of this job."""
    assert folder.manifest is not None
    assert folder.plan is not None
    shards = {shard.shard_id for shard in folder.plan.shards}
    attempts = {attempt.get("attempt") for attempt in folder.attempts}
    for receipt in folder.receipts or ():
        tally.look()
        where = f"done/{receipt.id}.json"
        if receipt.attempt not in attempts:
            tally.mismatch(where, f"an attempt that run.json knows ({len(attempts)})", f"attempt {receipt.attempt}")
        if foreign := sorted({*receipt.ranges, *receipt.totals} - shards):
            tally.mismatch(where, "shards of the plan", f"shard {foreign[0]}")
    vouched = {part.path: part for part in folder.manifest.parts}
    named = {receipt.part.path: receipt for receipt in live(folder.receipts or ()) if receipt.part is not None}
    for path in sorted(vouched.keys() - named.keys()):
        tally.mismatch(path, "a receipt that counts", "none, though the manifest lists the part")
    for path, receipt in sorted(named.items()):
        if path not in vouched:
            tally.mismatch(f"done/{receipt.id}.json", "a part of the manifest", f"{path}, which it does not list")
        elif vouched[path] != receipt.part:
            tally.mismatch(f"done/{receipt.id}.json", f"the manifest's {vouched[path]}", receipt.part)


def tiling(folder: Folder, tally: Tally) -> None:
    """The receipts tile [0, total) of every shard of the plan exactly once."""
    assert folder.manifest is not None
    assert folder.plan is not None
    found = folder.receipts or ()
    for overlap in overlaps_of(found):
        rows = f"rows {list(overlap.rows)} of shard {overlap.shard_id}"
        tally.mismatch(f"done/{overlap.loser}.json", f"{rows} once", f"once more than in done/{overlap.keeper}.json")
    progress = progress_of(found)
    tally.look(len(folder.plan.shards))
    try:
        prove_complete(folder.plan, progress, found, where=folder.url)
    except IncompleteJob as error:
        for shard_id, gaps in error.gaps.items():
            lacking = "its end was never reached" if gaps is None else f"without rows {list(gaps)}"
            tally.mismatch(f"shard {shard_id}", "every row once", lacking)
    except LedgerError as error:
        tally.mismatch(folder.url, "rows of the plan's shards alone", error)
    tally.expect(f"{MANIFEST}: rows", sum(part.rows for part in folder.manifest.parts), folder.manifest.rows)
    tally.expect(f"{MANIFEST}: shards", len(folder.plan.shards), folder.manifest.shards)
    bad = 0
    for shard in folder.plan.shards:
        seen = progress.of(shard.shard_id)
        whole = seen.outcome is not None and seen.outcome.state is ShardState.DONE
        bad += not whole
        if whole and shard.rows is not None and shard.rows_from in ("counted", "footer", "listed"):
            tally.expect(f"shard {shard.shard_id}", f"{shard.rows} rows, as planned", f"{seen.total} rows, as planned")
    if bad:
        tally.note(f"{bad} shards are bad: what could be read of them is committed, and no more is known")
