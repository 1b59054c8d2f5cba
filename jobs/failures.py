"""What went wrong, row by row and shard by shard; streamed, so a job with millions of failures is no problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow.compute as pc

from jobs.terminal import printable
from mue_model.config import ConfigError
from mue_model.config_errors import unknown_key
from pipeline.ledger import Ledger
from pipeline.receipts import live
from pipeline.records import ErrorCode, RowStatus, ShardCode

CODES = tuple(dict.fromkeys([code.value for code in ErrorCode] + [code.value for code in ShardCode]))
_COLUMNS = ["uid", "key", "shard_uri", "status", "error_stage", "error_code", "error_message", "attempts"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One failed row, or one shard that could not be read whole."""

    kind: Literal["row", "shard"]
    id: str
    """uid of a row, shard_id of a shard."""
    key: str | None
    shard_uri: str
    stage: str
    code: str
    message: str
    attempts: int


def failures_of(ledger: Ledger, *, code: str | None = None) -> Iterator[Failure]:
    """Yield shard failures, then failed rows part by part; with `code` only those.

    Raises:
        ConfigError: `code` is no error code.
    """
    if code is not None and code not in CODES:
        raise ConfigError(f"--code '{code}': {unknown_key(code, CODES, kind='code')}")
    return _found(ledger, code)


def _found(ledger: Ledger, code: str | None) -> Iterator[Failure]:
    for entry in ledger.failure_entries():
        if code in (None, entry.code):
            yield Failure(
                kind="shard",
                id=entry.shard_id,
                key=None,
                shard_uri=entry.url,
                stage="read",
                code=entry.code,
                message=entry.message,
                attempts=entry.attempts,
            )
    for receipt in live(ledger.receipts()):
        if receipt.part is None or not receipt.part.failed:
            continue
        table = ledger.read_part(receipt, _COLUMNS)
        failed = table.filter(pc.equal(table["status"], RowStatus.FAILED.value))
        for row in failed.to_pylist():
            if code in (None, row["error_code"]):
                yield Failure(
                    kind="row",
                    id=row["uid"],
                    key=row["key"],
                    shard_uri=row["shard_uri"] or "",
                    stage=row["error_stage"] or "",
                    code=row["error_code"] or "",
                    message=row["error_message"] or "",
                    attempts=row["attempts"],
                )


def failure_line(failure: Failure) -> str:
    """Return a failure as one line for people; `x2` after the code: it failed at two attempts."""
    key = f" {failure.key}" if failure.key else ""
    return printable(f"{failure.kind:<5} {failure.id:<24} {failure.code:<18}x{failure.attempts}{key} {failure.message}")
