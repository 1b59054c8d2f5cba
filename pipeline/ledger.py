"""The ledger: every input row is committed exactly once, or `finalize` says which are not.

What has no receipt does not exist for any reader, and what a receipt names never changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mue_model.config import ConfigError
from pipeline.commit_table import CommitTable, split_commit_table
from pipeline.compaction import COMPACT_AT, compact
from pipeline.completeness import prove_complete
from pipeline.intervals import merge, subtract
from pipeline.manifest import FileDigest, Manifest, file_digest
from pipeline.part_damage import damaged_parts
from pipeline.plan import Plan
from pipeline.plan_match import check_same_job
from pipeline.progress import Overlap, Progress, overlaps_of, progress_of
from pipeline.publish import publish
from pipeline.receipt_log import ReceiptLog
from pipeline.receipts import LedgerError, Part, Receipt, live, succession
from pipeline.records import ShardCode
from pipeline.repair import repair_once
from pipeline.shard_failures import ShardFailure
from pipeline.storage import FileAbsent, Storage

PLAN = "plan.json"
MANIFEST = "manifest.json"
_SINGLE_FILES = (PLAN, "run.json")
_FOLDERS = ("failures", "audit", "metrics")
"""What the manifest vouches for beside parts and receipts; requests, intents and reports are not evidence."""

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_ROUNDS = 20
"""Turns of `repair` before it concludes that another driver keeps committing."""

ParsedT = TypeVar("ParsedT")


class Ledger:
    """Reads and writes the commit record of one output folder. Can be sent to other processes."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._log = ReceiptLog(storage)
        self._progress: tuple[tuple[Receipt, ...], Progress] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"storage": self.storage, "_log": self._log, "_progress": None}

    # Before the run

    def adopt_plan(self, plan: Plan) -> Plan:
        """Return the plan that is in force: `plan`, or the one already there if it has the same fingerprint.

        Raises:
            FingerprintMismatch: The folder holds another job's plan.
        """
        try:
            # A finished job on a disk that is full or read-only can be looked at.
            return self._plan_in_force(plan)
        except FileAbsent:
            return plan if self.storage.create(PLAN, plan.to_json()) else self._plan_in_force(plan)

    def plan(self) -> Plan:
        """Return the plan in force; raise `FileAbsent` where there is none yet."""
        return self._parsed(PLAN, Plan.from_json)

    # While it runs

    def commit(
        self, table: pa.Table, *, name: str, attempt: str, fingerprint: str, replaces: Sequence[str] = ()
    ) -> Receipt:
        """Commit `table` (of `COMMIT_SCHEMA`) under `name`; a repeated call with the same rows changes nothing.

        Args:
            table: Rows and control rows. All queries of an image must be in one table.
            name: Stands for this set of rows, as in `<attempt>-<task>-<n>`.
            attempt: The attempt that made the rows.
            fingerprint: The plan's; recorded in the data file.
            replaces: Paths of parts whose rows, every one of them, this table holds anew.

        Raises:
            LedgerError: The table is not fit, or `name` was committed before with other rows.
        """
        if not _NAME.match(name):
            raise LedgerError(f"{name!r} cannot name a part; use letters, digits, '.', '_' and '-'")
        content = split_commit_table(table, fingerprint=fingerprint)
        succeeds = self._succession(content, replaces, name) if replaces else ()
        return publish(self.storage, content, name=name, attempt=attempt, replaces=succeeds)

    def write_failure_entry(self, shard_id: str, code: ShardCode, message: str, url: str, attempts: int) -> None:
        """Record that a shard could not be read whole; a later entry for the same shard replaces it."""
        failure = ShardFailure(shard_id=shard_id, code=code, message=message, url=url, attempts=attempts)
        self.storage.write(failure.path, failure.to_json())

    def withdraw_failure_entry(self, failure: ShardFailure) -> None:
        """Take back what `write_failure_entry` recorded: the shard is to be read again."""
        self.storage.delete(failure.path)

    # Looking at it

    def receipts(self) -> list[Receipt]:
        """Return every receipt there is now, sorted by id. Files seen before are not read again."""
        return list(self._log.refresh())

    def progress(self) -> Progress:
        """Return what is committed now; computed anew only where there are new receipts."""
        receipts = self._log.refresh()
        if self._progress is None or self._progress[0] is not receipts:
            self._progress = receipts, progress_of(receipts)
        return self._progress[1]

    def overlaps(self) -> list[Overlap]:
        """Return the rows that two live parts hold now; `repair` resolves them."""
        return overlaps_of(self.receipts())

    def failure_entries(self) -> list[ShardFailure]:
        """Return the recorded shard failures, sorted by shard_id."""
        return [self._parsed(path, ShardFailure.from_json) for path in self.storage.list("failures")]

    def live_parts(self) -> list[Part]:
        """Return the parts that count now, sorted by receipt id."""
        return _parts(self.receipts())

    def read_live(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of one live part after another; every input row once if `finalize` has passed."""
        for receipt in live(self.receipts()):
            yield self.read_part(receipt, columns)

    def read_part(self, receipt: Receipt, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of a receipt's part, or raise `LedgerError` if its file cannot be read."""
        assert receipt.part is not None
        return self.read_file(receipt.part.path, columns)

    def read_file(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of a data file, whether they count or not; raise `LedgerError` if it cannot be read."""
        try:
            with self.storage.open_input(path) as file:
                return pq.read_table(file, columns=columns)
        except (FileAbsent, pa.ArrowException, OSError) as error:
            reason = "it does not exist" if isinstance(error, FileAbsent) else " ".join(str(error).split())
            raise LedgerError(
                f"{self.storage.url}/{path} cannot be read ({reason}); restore it, or have "
                f"'mue repair {self.storage.url} --apply' withdraw it and run again to compute its rows anew"
            ) from error

    def manifest(self) -> Manifest | None:
        """Return the manifest, or None where the job was never finalized."""
        try:
            return self._parsed(MANIFEST, Manifest.from_json)
        except FileAbsent:
            return None

    def finalized(self, plan: Plan) -> bool:
        """Return whether `plan` is complete and the manifest vouches for the receipts as they are now."""
        manifest = self.manifest()
        if manifest is None or self.progress().unfinished(plan):
            return False
        named = {path: digest for path, digest in manifest.files.items() if path.startswith("done/")}
        return manifest.fingerprint == plan.fingerprint and named == self._log.digests()

    def manifest_is_stale(self) -> bool:
        """Return whether there is a manifest that does not name the files as they are now."""
        manifest = self.manifest()
        self.receipts()
        return manifest is not None and manifest.files != self._digests()

    # After it

    def compact(self, *, at_least: int = COMPACT_AT) -> int:
        """Move receipts into compact files if the last look found `at_least` so many others; return how many it moved.

        What is committed stays as it is. A manifest written before names files that are gone: `finalized` says so.
        Without enough of them it costs no request, so it may be called after every look.
        """
        return compact(self.storage, self._log.loose(), at_least=at_least)

    def repair(self) -> list[Receipt]:
        """Leave no row in two live parts, and return the receipts written for that.

        Who keeps a row: `receipts.by_precedence`.
        """
        return self._repaired()[1]

    def finalize(self, plan: Plan) -> Manifest:
        """Prove that every row of every shard of `plan` is committed exactly once, and write the manifest.

        Calling it again is safe; where nothing changed it gives the same manifest.

        Raises:
            IncompleteJob: Rows are missing, or a shard's end was never reached.
            LedgerError: The folder holds what this plan cannot have left there.
        """
        plan = self._plan_in_force(plan)
        self.compact()
        receipts, _ = self._repaired()
        prove_complete(plan, progress_of(receipts), receipts, where=self.storage.url)
        self._check_parts(receipts)
        parts = _parts(receipts)
        manifest = Manifest(
            fingerprint=plan.fingerprint,
            rows=sum(part.rows for part in parts),
            shards=len(plan.shards),
            parts=tuple(parts),
            files=self._digests(),
        )
        self.storage.write(MANIFEST, manifest.to_json())
        return manifest

    def _plan_in_force(self, plan: Plan) -> Plan:
        present = self.plan()
        check_same_job(present, plan, where=self.storage.url)
        return present

    def _repaired(self) -> tuple[list[Receipt], list[Receipt]]:
        """Repair, and return the receipts as they are without overlaps, and those written on the way."""
        written: list[Receipt] = []
        for _ in range(_ROUNDS):
            receipts = self.receipts()
            overlaps = overlaps_of(receipts)
            if not overlaps:
                return receipts, written
            written.extend(repair_once(self.storage, receipts, overlaps))
        raise LedgerError(f"{self.storage.url}: rows keep being committed twice; stop the other driver and run again")

    def _succession(self, content: CommitTable, replaces: Sequence[str], name: str) -> tuple[str, ...]:
        """A replacement must hold every row of what it replaces, or those rows would vanish unnoticed."""
        # Without its own receipt, so that a repeated call finds what the first one found.
        others = [receipt for receipt in self.receipts() if receipt.id != name]
        owners = {receipt.part.path: receipt for receipt in live(others) if receipt.part is not None}
        for path in replaces:
            if path not in owners:
                raise LedgerError(f"{path} cannot be replaced: it is no live part of {self.storage.url}")
            for shard_id, ranges in owners[path].ranges.items():
                if lacking := subtract(ranges, merge(content.ranges.get(shard_id, ()))):
                    raise LedgerError(
                        f"the replacement of {path} lacks rows {list(lacking)} of shard {shard_id}; "
                        "a retry rewrites whole parts"
                    )
        return succession([owners[path] for path in replaces])

    def _check_parts(self, receipts: Sequence[Receipt]) -> None:
        """Every live part is there with its size; the digests are for `verify`, which reads every byte."""
        for damage in damaged_parts(self.storage, receipts, read_bytes=False):
            raise LedgerError(
                f"{self.storage.url}/{damage.path} {damage.what}; restore it, or have 'mue repair {self.storage.url} "
                "--apply' withdraw it and run again to compute its rows anew"
            )

    def _digests(self) -> dict[str, FileDigest]:
        """Of every file that a manifest written now would name beside parts."""
        paths = [path for path in _SINGLE_FILES if self.storage.exists(path)]
        paths += [path for folder in _FOLDERS for path in self.storage.list(folder)]
        return {**self._log.digests(), **{path: file_digest(self.storage.read(path)) for path in paths}}

    def _parsed(self, path: str, parse: Callable[..., ParsedT]) -> ParsedT:
        where = f"{self.storage.url}/{path}"
        data = self.storage.read(path)
        try:
            return parse(data, where=where)
        except ConfigError as error:
            raise LedgerError(f"{error}; move the file away, or choose another output folder") from error


def _parts(receipts: Sequence[Receipt]) -> list[Part]:
    return [receipt.part for receipt in live(receipts) if receipt.part is not None]
