"""Every committed row, part by part in bounded memory: whose it is, its depths, what it wrote and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.verify_check import Tally
from jobs.verify_folder import Folder
from jobs.verify_row_cost import RowCosts
from jobs.verify_shadow import ShadowChecks
from pipeline.commit_table import ranges_of
from pipeline.errors import PipelineError
from pipeline.identity import uid_of
from pipeline.intervals import subtract
from pipeline.receipts import Part, Receipt, live
from pipeline.records import RESULTS_VERSION, REUSED, ROW_SCHEMA, ROW_SCHEMA_VERSION, ErrorCode, RowStatus
from pipeline.storage import FileAbsent

_UNREAD = ("meta_json", "timings", "width", "height", "shard_uri", "key")
"""Columns that no check is about."""
_ROWS_AT_A_TIME = 1024
_COLUMNS = [name for name in ROW_SCHEMA.names if name not in _UNREAD]


class RowChecks:
    """The checks of single rows; each sees every row of every live part once."""

    def __init__(self, folder: Folder, costs: RowCosts | None, shadows: Sequence[ShadowChecks]) -> None:
        """Make the checks; without `costs` those that need the model are left out."""
        self._folder, self._costs, self._shadows = folder, costs, shadows
        self._attempts = {attempt.get("attempt") for attempt in folder.attempts}
        self._receipts: dict[str, Receipt] = {
            receipt.part.path: receipt for receipt in live(folder.receipts or ()) if receipt.part is not None
        }
        self.parts = Tally("parts", "every part has the schema, versions and fingerprint of its plan")
        self.identity = Tally("rows", "every part holds the rows that its receipt says, each uid once, and no others")
        self.status = Tally("status", "every row is ok with an answer, or failed or filtered without one")
        self.depths = Tally("depths", "layers run lie in 1..L, one entry a step, and end where a row may exit")
        self.texts = Tally("texts", "every text or label is what the row's own tokens say, in their number")
        self.costs = Tally("costs", "the FLOPs of every row follow from its depths and the model's configuration")
        self.sharing = Tally("sharing", "what was reused adds up and is no more than what the row needed")

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """All of them, those that nothing was seen by included."""
        of_model = (self.depths, self.texts, self.costs) if self._costs is not None else ()
        return (self.parts, self.identity, self.status, *of_model, self.sharing)

    def run(self, parts: Iterable[Part], on_rows: Callable[[int], None] = lambda rows: None) -> None:
        """Look at the rows of `parts`; what cannot be read is a finding."""
        for part in parts:
            self._part(part)
            on_rows(part.rows)

    def _part(self, part: Part) -> None:
        self.parts.look()
        try:
            with self._folder.ledger.storage.open_input(part.path) as source:
                file = pq.ParquetFile(source)
                if not self._is_of_plan(part.path, file.schema_arrow):
                    return
                table = file.read(_COLUMNS)
        except FileAbsent:
            self.parts.missing(part.path, f"a part of {part.rows:,} rows", "no such file")
            return
        except (pa.ArrowException, PipelineError, OSError) as error:
            self.parts.mismatch(part.path, "a Parquet file", " ".join(str(error).split())[:200])
            return
        self._rows_of_receipt(part, table)
        for row in (row for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME) for row in batch.to_pylist()):
            where = f"{part.path} {row['uid']}"
            try:
                self._row(where, row)
            except (TypeError, ValueError, AttributeError, LookupError) as error:
                # Nulls and lengths that no job writes.
                self.status.mismatch(where, "a row as jobs write it", repr(error))

    def _is_of_plan(self, path: str, schema: pa.Schema) -> bool:
        plan = self._folder.plan
        assert plan is not None
        metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        expected = {
            "fingerprint": plan.fingerprint,
            "row_schema_version": str(ROW_SCHEMA_VERSION),
            "results_version": str(RESULTS_VERSION),
        }
        for name, value in expected.items():
            if metadata.get(name) != value:
                self.parts.mismatch(f"{path}: {name}", value, metadata.get(name))
        if schema.remove_metadata().equals(ROW_SCHEMA):
            return True
        unlike = [field.name for field in ROW_SCHEMA if field.name not in schema.names]
        self.parts.mismatch(f"{path}: schema", "ROW_SCHEMA", f"another one; missing columns: {unlike or 'none'}")
        return False

    def _rows_of_receipt(self, part: Part, table: pa.Table) -> None:
        """The rows are those of the receipt's ranges, every query of an image, each once and under its own name."""
        self.identity.look(len(table))
        if len(table) != part.rows:
            self.identity.mismatch(part.path, f"{part.rows:,} rows, as committed", f"{len(table):,} rows")
        failed = pc.sum(pc.equal(table["status"], RowStatus.FAILED.value)).as_py() or 0
        if failed != part.failed:
            self.identity.mismatch(part.path, f"{part.failed:,} failed rows, as committed", f"{failed:,}")
        receipt = self._receipts.get(part.path)
        held = ranges_of(table)
        for shard_id in sorted({*held, *(receipt.ranges if receipt else ())}):
            promised = receipt.ranges.get(shard_id, ()) if receipt else ()
            for start, stop in subtract(promised, held.get(shard_id, ())):
                uids = f"{uid_of(shard_id, start)} to {uid_of(shard_id, stop - 1)}"
                self.identity.mismatch(part.path, f"rows {uids}, which its receipt names", "none of them")
            for start, stop in subtract(held.get(shard_id, ()), promised):
                uids = f"{uid_of(shard_id, start)} to {uid_of(shard_id, stop - 1)}"
                self.identity.mismatch(part.path, "rows that its receipt names", f"rows {uids} too")
        self._each_once(part.path, table)

    def _each_once(self, path: str, table: pa.Table) -> None:
        before: tuple[Any, ...] | None = None
        for uid, shard_id, row, query in zip(
            *(table[name].to_pylist() for name in ("uid", "shard_id", "row_in_shard", "query")), strict=True
        ):
            own = uid_of(shard_id, row, query)
            if uid != own:
                self.identity.mismatch(path, f"uid {own}, as its columns say", f"uid {uid}")
            here = (shard_id, row, query)
            if before is not None and here <= before:
                what = "twice" if here == before else f"behind {uid_of(*before)}"
                self.identity.mismatch(path, f"row {own} once and in its place", what)
            elif query != (before[2] + 1 if before and before[:2] == here[:2] else 0):
                self.identity.mismatch(path, f"every query of image {shard_id}/{row}", f"none before {own}")
            before = here

    def _row(self, where: str, row: dict[str, Any]) -> None:
        self.status.look()
        if row["attempt_id"] not in self._attempts:
            self.status.mismatch(where, "an attempt that run.json knows", f"attempt {row['attempt_id']}")
        if row["status"] != RowStatus.OK:
            self._without_answer(where, row)
            return
        for name in ("text", "n_tokens", "tokens", "decoder_layers_run", "image_layers_run", "flops_executed"):
            if row[name] is None:
                self.status.mismatch(f"{where}: {name}", "a value in a row that is ok", "nothing")
                return
        self._shared(where, row)
        for shadow in self._shadows:
            shadow.row(where, row)
        if self._costs is not None:
            for tally, find in (
                (self.depths, self._costs.depth_problem),
                (self.texts, self._costs.text_problem),
                (self.costs, self._costs.cost_problem),
            ):
                tally.look()
                for name, expected, found in find(row):
                    tally.mismatch(f"{where}: {name}", expected, found)

    def _without_answer(self, where: str, row: dict[str, Any]) -> None:
        if row["status"] not in list(RowStatus):
            self.status.mismatch(f"{where}: status", "ok, failed or filtered", row["status"])
        if row["status"] == RowStatus.FAILED and row["error_code"] not in list(ErrorCode):
            self.status.mismatch(f"{where}: error_code", "a known code", row["error_code"])
        for name in ("text", "label", "shadow"):
            if row[name] is not None:
                self.status.mismatch(f"{where}: {name}", f"none in a row that is {row['status']}", row[name])

    def _shared(self, where: str, row: dict[str, Any]) -> None:
        self.sharing.look()
        kinds = {f"flops_reused_{what}": row[f"flops_reused_{what}"] or 0 for what in REUSED}
        for name, value in {**kinds, "flops_padding": row["flops_padding"] or 0}.items():
            if value < 0:
                self.sharing.mismatch(f"{where}: {name}", "0 or more", value)
        reused = row["flops_reused"] or 0
        if sum(kinds.values()) != reused:
            self.sharing.mismatch(f"{where}: flops_reused", f"{sum(kinds.values())}, the sum of its kinds", reused)
        if reused > row["flops_executed"]:
            self.sharing.mismatch(f"{where}: flops_reused", f"at most {row['flops_executed']}, all that it ran", reused)
