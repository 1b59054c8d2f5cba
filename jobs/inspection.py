"""Everything the ledger holds about one row, found by uid or by key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group
from rich.table import Table
from rich.text import Text

from jobs.terminal import pairs_table
from pipeline.identity import RowId, parse_uid
from pipeline.intervals import contains
from pipeline.ledger import Ledger
from pipeline.receipts import LedgerError, live
from pipeline.shared_meta import with_meta_json


class RowNotFound(LedgerError):
    """No committed row has this uid or key."""


def find_rows(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    """Return every committed row whose uid or key is `name`; a uid opens only the part that holds the row.

    Raises:
        RowNotFound: Nothing has that name.
    """
    rows = _by_uid(ledger, name) or _by_key(ledger, name)
    if not rows:
        raise RowNotFound(
            f"no committed row of {ledger.storage.url} has the uid or key '{name}'; "
            "'mue export OUT --format jsonl --status all' lists all uids and keys"
        )
    return rows


def _by_uid(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    try:
        row_id: RowId = parse_uid(name)
    except ValueError:
        return []
    for receipt in live(ledger.receipts()):
        holds = contains(receipt.ranges.get(row_id.shard_id, ()), row_id.row_in_shard)
        if holds and (rows := _matching(ledger.read_part(receipt), "uid", name)):
            return rows
    return []


def _by_key(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    """Keys repeat, so every part is looked at; only those with a hit are read whole."""
    rows: list[dict[str, Any]] = []
    for receipt in live(ledger.receipts()):
        keys = ledger.read_part(receipt, ["key"])
        if pc.any(pc.equal(keys["key"], name)).as_py():
            rows += _matching(ledger.read_part(receipt), "key", name)
    return rows


def _matching(table: pa.Table, column: str, value: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = with_meta_json(table).filter(pc.equal(table[column], value)).to_pylist()
    return rows


def rows_view(rows: Sequence[dict[str, Any]]) -> Group:
    """Return rows for people, a blank line between two."""
    parts = [part for row in rows for part in (Text(), row_table(row))]
    return Group(*parts[1:])


def row_table(row: dict[str, Any]) -> Table:
    """Return one row for people: columns without a value are left out."""
    return pairs_table((name, _shown(value)) for name, value in row.items() if value is not None and value != [])


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        value = {key: round(inner, 3) if isinstance(inner, float) else inner for key, inner in value.items()}
    return json.dumps(value, ensure_ascii=False)
