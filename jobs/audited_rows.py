"""The selected rows of a finished job as they come back from full depth; refuses images that are not those answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from jobs.audit_record import AUDIT_SCHEMA
from jobs.shadow_sample import SelectedRow, answer_of
from pipeline.errors import PipelineError, some
from pipeline.identity import parse_uid
from pipeline.intervals import Ranges, of_numbers
from pipeline.records import ErrorStage, RowStatus

_SHOWN = ["uid", "status", "error_stage", "text", "label", "image_sha256", "shadow"]


class InputsChanged(PipelineError):
    """Images are not the ones that the job answered."""


class AuditedRows:
    """Takes tables of the pipeline in any order, rows that nobody asked for included."""

    def __init__(self, wanted: Iterable[SelectedRow]) -> None:
        self._open = {row.uid: row for row in wanted}
        self._images = Counter(parse_uid(uid)[:2] for uid in self._open)
        self._found: list[dict[str, Any]] = []
        self._changed: list[str] = []
        self.wanted = len(self._open)
        """Rows that are to come."""

    @property
    def done(self) -> int:
        """Rows that came."""
        return self.wanted - len(self._open)

    def take(self, table: pa.Table) -> None:
        """Take a table of `COMMIT_SCHEMA`."""
        for row in table.select(_SHOWN).to_pylist():
            selected = self._open.pop(row["uid"], None)
            if selected is not None:
                self._close(row["uid"])
                self._look_at(row, selected)

    def open_rows(self) -> dict[str, Ranges]:
        """Return the images still to come, by shard."""
        numbers: dict[str, list[int]] = {}
        for shard_id, row in self._images:
            numbers.setdefault(shard_id, []).append(row)
        return {shard_id: of_numbers(rows) for shard_id, rows in sorted(numbers.items())}

    def is_open(self, shard_id: str, rows: Ranges) -> bool:
        """Return whether any of these rows of a shard is still to come."""
        return any((shard_id, row) in self._images for start, stop in rows for row in range(start, stop))

    def table(self) -> pa.Table:
        """Return what was found, sorted by uid, as `AUDIT_SCHEMA`; rows without a result at full depth are not in it.

        Raises:
            InputsChanged: An image has another digest than the one answered, or fails before the model sees it.
        """
        if self._changed:
            raise InputsChanged(
                f"{len(self._changed)} images are not the ones that the job answered, or cannot be read any more: "
                f"{some(self._changed)}; an audit of other inputs says nothing: restore them"
            )
        return pa.Table.from_pylist(sorted(self._found, key=lambda row: parse_uid(row["uid"])), schema=AUDIT_SCHEMA)

    def _close(self, uid: str) -> None:
        """An image is open as long as one of its rows is."""
        image = parse_uid(uid)[:2]
        self._images[image] -= 1
        if not self._images[image]:
            del self._images[image]

    def _look_at(self, row: Mapping[str, Any], selected: SelectedRow) -> None:
        is_ok, shadow = row["status"] == RowStatus.OK, row["shadow"]
        if row["image_sha256"] != selected.image_sha256 or not (is_ok or row["error_stage"] == ErrorStage.INFER):
            self._changed.append(row["uid"])
            return
        if not is_ok or shadow is None:
            return
        self._found.append(
            {
                "uid": row["uid"],
                "image_sha256": row["image_sha256"],
                "stratum": selected.stratum,
                "answer": selected.answer,
                "reproduced": answer_of(row) == selected.answer,
                # What counts is the answer that was committed, not the one that this machine gives today.
                "shadow": shadow | {"agrees": shadow["text"] == selected.answer},
            }
        )
