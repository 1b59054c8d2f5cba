"""Receipts: what each committed part holds, which parts are live, and whose rows count where two overlap."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from mue_model.config import Config
from pipeline.canonical_json import canonical_json, parse_json
from pipeline.errors import PipelineError
from pipeline.intervals import Range, is_canonical
from pipeline.records import ShardCode, ShardState

RECEIPT_VERSION = 1


class LedgerError(PipelineError):
    """The output folder does not hold what a job leaves there. The message names the file."""


class Part(Config):
    """One data file as it was committed."""

    path: str
    """Path inside the output folder."""
    rows: int = Field(gt=0)
    failed: int = Field(default=0, ge=0)
    """Of these, rows with status `failed`."""
    bytes: int = Field(gt=0)
    sha256: str


class ShardOutcome(Config):
    """How the reading of a shard ended."""

    state: ShardState
    code: ShardCode | None = None
    message: str | None = None


class Receipt(Config):
    """`Receipt` v1: written once, after its part, and never changed."""

    schema_version: Literal[1] = 1
    id: str
    attempt: str
    part: Part | None
    """None where no row was committed: only shard totals, or everything belonged to another part."""
    ranges: dict[str, tuple[Range, ...]]
    """Per shard the ranges [start, stop) of row_in_shard that the part holds."""
    totals: dict[str, int]
    """Rows of each shard whose end was reached."""
    shards: dict[str, ShardOutcome]
    """Outcome of each shard whose end was reached."""
    replaces: tuple[str, ...] = ()
    """Paths of parts that no longer count: see `succession`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.part is None) != (not self.ranges):
            raise ValueError("a receipt has row ranges exactly if it has a part")
        for shard_id, ranges in self.ranges.items():
            if not ranges or not is_canonical(ranges):
                raise ValueError(f"the row ranges of shard {shard_id} are not sorted and disjoint: {list(ranges)}")
        if self.totals.keys() != self.shards.keys() or any(total < 0 for total in self.totals.values()):
            raise ValueError("totals and shards must name the same shards, and no total is negative")
        return self

    def to_json(self) -> bytes:
        """Return the bytes of the receipt's file."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Receipt:
        """Return the receipt in `data`, or raise `ConfigError` saying what is wrong in `where`."""
        return _slim(parse_json(cls, data, where=where))


def _slim(receipt: Receipt) -> Receipt:
    """The same receipt in a third of the memory: equal texts once, and one record for all of which fields were set."""
    part = receipt.part and Part.model_construct(_fields_set=_FIELDS_OF_PART, **dict(receipt.part))
    values = {
        **dict(receipt),
        "part": part,
        "attempt": sys.intern(receipt.attempt),
        "ranges": {sys.intern(shard_id): ranges for shard_id, ranges in receipt.ranges.items()},
    }
    return Receipt.model_construct(_fields_set=_FIELDS_OF_RECEIPT, **values)


_FIELDS_OF_RECEIPT, _FIELDS_OF_PART = set(Receipt.model_fields), set(Part.model_fields)


def live(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Return the receipts whose part counts: it exists and no receipt replaces it."""
    receipts = list(receipts)
    replaced = {path for receipt in receipts for path in receipt.replaces}
    return [receipt for receipt in receipts if receipt.part is not None and receipt.part.path not in replaced]


def by_precedence(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Return `receipts` in the order that decides overlaps: the earlier one keeps a row.

    The rule: the part with the smallest name in sort order keeps the row; what replaces a part takes its place. A
    receipt says itself which place that is, so it never moves, and two processes that repair at once, each having seen
    other receipts, cannot both give a row away to the other.
    """
    return sorted(receipts, key=lambda receipt: (_name(_place(receipt)), receipt.id))


def succession(parents: Sequence[Receipt]) -> tuple[str, ...]:
    """Return what a receipt must say that it `replaces` to succeed `parents`, which have parts.

    All their ancestors are among it: whoever sees a receipt but not yet its parents must not take a part for live that
    those replaced. The last one is the place that it takes.
    """
    place = min((_place(parent) for parent in parents), key=_name)
    paths = [path for parent in parents if parent.part for path in (parent.part.path, *parent.replaces)]
    return (*(path for path in dict.fromkeys(paths) if path != place), place)


def _name(path: str) -> str:
    return path.removesuffix(".parquet")


def _place(receipt: Receipt) -> str:
    if receipt.replaces:
        return receipt.replaces[-1]
    return receipt.part.path if receipt.part else f"data/{receipt.id}.parquet"
