"""Inputs are those that the rows came from, all of them: by version and count of rows, else by each image's digest."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jobs.input_shards import inputs_config, located, raw_tables, run_now
from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from pipeline.errors import PipelineError, some
from pipeline.folder_images import FileRun
from pipeline.plan import PlanError, PlannedShard, look_up_shard
from pipeline.progress import ShardProgress, progress_of
from pipeline.receipts import ShardOutcome, live
from pipeline.records import ShardCode, ShardState
from pipeline.row_totals import count_rows
from pipeline.rows_wanted import BEYOND

_MACHINES = (ShardCode.UNREADABLE, ShardCode.CHANGED)
"""Ends of a shard that its storage had to do with; all others follow from its bytes."""


@dataclass(frozen=True, kw_only=True)
class InputsAtHand:
    """Where inputs are, and how much of them may be read."""

    moved: str | None = None
    """Folder in which they lie now; None: where they were."""
    read: int = 0
    """Shards to read to their ends, of those whose rows nothing else tells."""
    seed: int = 0
    """Which those are."""


def inputs(folder: Folder, tally: Tally, at_hand: InputsAtHand) -> None:
    """Every input shard that is at hand is the one that was planned, and has as many rows as are committed of it."""
    assert folder.plan is not None
    progress = progress_of(folder.receipts or ())
    absent: list[str] = []
    uncounted: list[_Shard] = []

    def look(work: Callable[[_Shard], bool], shard: _Shard) -> None:
        try:
            if not work(shard):
                uncounted.append(shard)
        except (PlanError, OSError) as error:
            absent.append(f"{shard.planned.shard_id} ({error})")

    for planned in folder.plan.shards:
        url = located(planned, at_hand.moved)
        look(_Shard.look, _Shard(folder, tally, planned, url, progress.of(planned.shard_id)))
    drawn = random.Random(at_hand.seed).sample(uncounted, min(at_hand.read, len(uncounted)))
    for shard in drawn:
        look(_Shard.read, shard)
    if len(uncounted) > len(drawn):
        tally.note(
            f"rows of {len(uncounted) - len(drawn):,} shards are not counted, for only reading them tells; "
            "--rerun K reads K of them"
        )
    if absent:
        tally.not_checked(
            f"{len(absent)} of {len(folder.plan.shards)} input shards are not at hand: {some(absent[:2])}; "
            "--inputs FOLDER says where they are now"
        )


@dataclass(frozen=True)
class _Shard:
    """One shard to be held against the plan and the receipts."""

    folder: Folder
    tally: Tally
    planned: PlannedShard
    url: str
    committed: ShardProgress

    @property
    def where(self) -> str:
        return f"input {self.planned.shard_id} ({self.url})"

    def look(self) -> bool:
        """Test version and rows; return False where only reading the shard would tell how many it has."""
        if self.planned.files is not None:
            return self._look_at_folder(self.planned.files)
        size, etag = look_up_shard(self.url)
        self.tally.look()
        if size != self.planned.size:
            self.tally.mismatch(self.where, f"{self.planned.size:,} bytes, as planned", f"{size:,} bytes")
            return True
        if etag != self.planned.etag or not self._whole:
            # A copy has another modification time: what its images are decides. What was bad must be so again.
            self._images(self.planned)
            return True
        assert self.folder.plan is not None
        found = count_rows(self.url, self.folder.plan.fields)
        if found is None or found.source == "side-car":
            return False
        self._ends(found.rows, ShardOutcome(state=ShardState.DONE))
        return True

    def read(self) -> bool:
        """Read the shard to its end and test how many rows it has."""
        for table in raw_tables(inputs_config(self.folder), self.planned, self.url, ((0, BEYOND - 1),)):
            self._end_of(table)
        return True

    @property
    def _whole(self) -> bool:
        return self.committed.outcome is not None and self.committed.outcome.state is ShardState.DONE

    def _look_at_folder(self, run: FileRun) -> bool:
        now, rows = run_now(inputs_config(self.folder), run, self.url)
        self.tally.look()
        if now == run and self._whole:
            self._ends(rows, ShardOutcome(state=ShardState.DONE))
        else:
            self._images(self.planned.model_copy(update={"files": now}))
        return True

    def _images(self, shard: PlannedShard) -> None:
        """Read all images; `shard` is as it is now."""
        recorded = _recorded(self.folder, shard.shard_id)
        wanted = dict(recorded)
        for table in raw_tables(inputs_config(self.folder), shard, self.url):
            for row, image in zip(table["row_in_shard"].to_pylist(), table["image"], strict=True):
                expected = wanted.pop(row, None)
                if expected is None or not image.is_valid:
                    continue
                found = hashlib.sha256(image.as_buffer()).hexdigest()
                if found != expected:
                    where = f"input {self.url}, row {shard.shard_id}/{row}"
                    self.tally.mismatch(where, f"an image with SHA-256 {expected}", found)
            self._end_of(table)
        for row in sorted(wanted)[:1]:
            what = f"{len(wanted):,} images of committed rows are not in it, the first is that of row {row}"
            self.tally.mismatch(self.where, f"{len(recorded):,} images", what)

    def _end_of(self, table: pa.Table) -> None:
        """Test the shard's end if it is in `table`; raise `PlanError` where storage did not give all of it."""
        end = table.slice(len(table) - 1).to_pylist()[0] if len(table) else {}
        if end.get("shard_total") is None:
            return
        if end["shard_code"] == ShardCode.UNREADABLE:
            raise PlanError(end["shard_message"])
        self._ends(end["shard_total"], ShardOutcome(state=end["shard_state"], code=end["shard_code"]))

    def _ends(self, rows: int, now: ShardOutcome) -> None:
        """Hold how many rows there are, and how reading ends, against what is committed."""
        then, total = self.committed.outcome, self.committed.total
        if then is None or (rows, now.state) == (total, then.state):
            return  # without an outcome the tiling does not hold
        expected = f"{total:,} rows and {_ending(then)}, as committed"
        found = f"{rows:,} rows and {_ending(now)}"
        if then.code in _MACHINES or then.code == now.code == ShardCode.BAD_COMPRESSION:
            self.tally.not_checked(f"{self.where}: it has {found}, where {expected}; nothing tells what was there then")
        else:
            self.tally.mismatch(self.where, expected, found)


def _ending(outcome: ShardOutcome) -> str:
    return "a proper end" if outcome.state is ShardState.DONE else f"no proper end ({outcome.code})"


def _recorded(folder: Folder, shard_id: str) -> dict[int, str]:
    """Return the digest of each image of a shard whose rows are committed."""
    found: dict[int, str] = {}
    for receipt in live(folder.receipts or ()):
        if receipt.part is None or shard_id not in receipt.ranges:
            continue
        try:
            table = folder.ledger.read_part(receipt, ["shard_id", "row_in_shard", "image_sha256"])
        except (PipelineError, OSError):
            continue  # the checks of files name it
        rows: list[dict[str, Any]] = table.to_pylist()
        found |= {
            row["row_in_shard"]: row["image_sha256"]
            for row in rows
            if row["shard_id"] == shard_id and row["image_sha256"] is not None
        }
    return found
