"""The two writes of a commit: the part, then its receipt. A crash between them leaves nothing that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mue_model.config import ConfigError
from pipeline.commit_table import CommitTable, to_parquet
from pipeline.receipts import LedgerError, Part, Receipt
from pipeline.records import RowStatus
from pipeline.storage import FileAbsent, Storage


def receipt_path(name: str) -> str:
    """Return where the receipt of this name lies."""
    return f"done/{name}.json"


def publish(storage: Storage, content: CommitTable, *, name: str, attempt: str, replaces: Sequence[str]) -> Receipt:
    """Commit `content` under `name` and return the receipt in force, ours or an equal earlier one.

    Raises:
        LedgerError: The name was committed before with other rows.
    """
    try:
        present = read_receipt(storage, receipt_path(name))
    except FileAbsent:
        ours = publish_or_yield(storage, content, name=name, attempt=attempt, replaces=replaces)
        if ours is not None:
            return ours
        present = read_receipt(storage, receipt_path(name))
    if not _describes(present, content, replaces):
        raise LedgerError(
            f"{storage.url}/{receipt_path(name)} was committed before with other rows; "
            "a name stands for one set of rows, so this attempt needs a name of its own"
        )
    return present


def publish_or_yield(
    storage: Storage, content: CommitTable, *, name: str, attempt: str, replaces: Sequence[str]
) -> Receipt | None:
    """Commit `content` under `name`; return None, with nothing committed, where the name is taken."""
    receipt = Receipt(
        id=name,
        attempt=attempt,
        part=_write_part(storage, name, content),
        ranges=content.ranges,
        totals=content.totals,
        shards=content.shards,
        replaces=tuple(replaces),
    )
    return receipt if storage.create(receipt_path(name), receipt.to_json()) else None


def read_receipt(storage: Storage, path: str) -> Receipt:
    """Return the receipt in the file `path`, or raise `LedgerError` naming it."""
    return parse_receipt(storage.read(path), where=f"{storage.url}/{path}", path=path)


def parse_receipt(data: bytes, *, where: str, path: str) -> Receipt:
    """Return the receipt in `data`; its id must be the file's name."""
    try:
        receipt = Receipt.from_json(data, where=where)
    except ConfigError as error:
        raise LedgerError(f"{error}; this is no receipt: move it away, its rows will be computed again") from error
    if path != receipt_path(receipt.id):
        raise LedgerError(f"{where} holds the receipt '{receipt.id}'; move it away, or give it its own name back")
    return receipt


def _describes(receipt: Receipt, content: CommitTable, replaces: Sequence[str]) -> bool:
    """Whether the receipt stands for the same rows and shard ends; texts, timings and messages may differ."""
    rows = receipt.part.rows if receipt.part else 0
    return (rows, receipt.ranges, receipt.totals, receipt.replaces) == (
        len(content.rows),
        content.ranges,
        content.totals,
        tuple(replaces),
    )


def _write_part(storage: Storage, name: str, content: CommitTable) -> Part | None:
    """Write the rows under the name, or under one with their digest where the name is taken by other bytes.

    A file in data/ is never changed: one that is already there may be a dead attempt's leftover, but also
    the part of a rival who is about to write the receipt.
    """
    if not len(content.rows):
        return None
    data = to_parquet(content.rows)
    sha256 = hashlib.sha256(data).hexdigest()
    path = f"data/{name}.parquet"
    if not storage.create(path, data) and storage.read(path) != data:
        path = f"data/{name}-{sha256[:12]}.parquet"
        storage.create(path, data)
    failed = content.rows["status"].to_pylist().count(RowStatus.FAILED)
    return Part(path=path, rows=len(content.rows), failed=failed, bytes=len(data), sha256=sha256)
