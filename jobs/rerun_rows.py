"""Rows that a verification answers again: some of all, and as many of those that are said to have had a shadow."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.audit_record import audit_records, audited_rows
from jobs.verify_folder import Folder
from pipeline.errors import PipelineError
from pipeline.receipts import Part
from pipeline.records import ROW_SCHEMA


@dataclass(frozen=True, kw_only=True)
class DrawnRow:
    """One row, and what is on record of it at full depth."""

    where: str
    """Its part and uid."""
    row: dict[str, Any]
    shadows: Mapping[str, Mapping[str, Any]]
    """By where they are: beside the row, or in what the latest `mue audit run` left."""


def drawn_rows(folder: Folder, *, rows: int, seed: int) -> Iterator[DrawnRow]:
    """Draw `rows` rows, each equally likely whatever became of it, then up to as many of those that have a shadow.

    Who draws with the same seed draws the same ones. A row that is drawn twice comes once.
    """
    assert folder.manifest is not None
    parts = folder.manifest.parts
    audited = _Audited(folder)
    draw, total = random.Random(seed), sum(part.rows for part in parts)
    places = draw.sample(range(total), min(total, rows))
    shadowed = list(_shadowed(folder, parts, audited))
    places += draw.sample(shadowed, min(len(shadowed), rows))
    for place in dict.fromkeys(places):
        part, number = _part_at(parts, place)
        table = _read(folder, part, ROW_SCHEMA.names)
        if table is None or number >= len(table):
            continue
        row = table.slice(number, 1).to_pylist()[0]
        where = f"{part.path} {row['uid']}"
        beside = {f"{where}: shadow": row["shadow"]} if row["shadow"] is not None else {}
        yield DrawnRow(where=where, row=row, shadows=beside | audited.shadows(row["uid"]))


class _Audited:
    """What the latest audit that ran rows again left; without one, nothing."""

    def __init__(self, folder: Folder) -> None:
        records = [record for record in audit_records(folder.ledger) if record.shadows is not None]
        self._path = records[-1].shadows_path if records else ""
        self._rows = audited_rows(folder.ledger, records[-1]) if records else {}
        self.uids = pa.array(self._rows, pa.string())

    def shadows(self, uid: str) -> dict[str, Mapping[str, Any]]:
        row = self._rows.get(uid)
        return {f"{self._path} {uid}: shadow": row["shadow"]} if row is not None and row["shadow"] is not None else {}


def _shadowed(folder: Folder, parts: Sequence[Part], audited: _Audited) -> Iterator[int]:
    """Yield the places of rows that have a shadow, counted over all parts."""
    first = 0
    for part in parts:
        table = _read(folder, part, ["uid", "shadow"])
        if table is not None:
            has_one = pc.or_(pc.is_valid(table["shadow"]), pc.is_in(table["uid"], value_set=audited.uids))
            yield from (first + number for number in pc.indices_nonzero(has_one).to_pylist() if number < part.rows)
        first += part.rows


def _part_at(parts: Sequence[Part], place: int) -> tuple[Part, int]:
    for part in parts:
        if place < part.rows:
            return part, place
        place -= part.rows
    raise IndexError(place)


def _read(folder: Folder, part: Part, columns: list[str]) -> pa.Table | None:
    try:
        return folder.ledger.read_file(part.path, columns)
    except PipelineError:
        return None  # the checks of rows name it
