"""Live parts whose file is not the one that was committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from pipeline.bounded_map import bounded_map
from pipeline.canonical_json import digest_of
from pipeline.receipts import Part, Receipt, live
from pipeline.storage import FileAbsent, Storage

_CONNECTIONS = 16
"""Parts looked at at a time."""
_READERS = 4
"""Parts read at a time: each is held whole."""


@dataclass(frozen=True)
class PartDamage:
    """A live part that cannot be what was committed."""

    receipt: Receipt
    path: str
    what: str
    """In words, to stand behind the path."""


def damaged_parts(storage: Storage, receipts: Iterable[Receipt], *, read_bytes: bool) -> Iterator[PartDamage]:
    """Yield the live parts that are missing or of another size, and with `read_bytes` those of another SHA-256."""
    alive = live(receipts)
    parts = [receipt.part for receipt in alive if receipt.part is not None]
    look = partial(_damage, storage, read_bytes)
    found = bounded_map(look, parts, at_once=_READERS if read_bytes else _CONNECTIONS)
    for receipt, part, what in zip(alive, parts, found, strict=True):
        if what is not None:
            yield PartDamage(receipt, part.path, what)


def _damage(storage: Storage, read_bytes: bool, part: Part) -> str | None:
    try:
        size = storage.size(part.path)
        if size != part.bytes:
            return f"has {size} bytes, but {part.bytes} bytes were committed"
        if read_bytes and digest_of(storage.read(part.path)) != part.sha256:
            return "has other bytes than were committed (its SHA-256 differs)"
    except FileAbsent:
        return f"is missing, but {part.bytes} bytes were committed"
    return None
