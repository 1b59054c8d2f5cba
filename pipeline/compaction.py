"""Compaction: many receipts in one file, so that a large job's receipts are listed and read in a few requests.

A compact file `done/compact/<sha256 of its bytes>.jsonl` holds receipts byte for byte as their own files did, one a
line. It is created exclusively and never changed; only then are the receipts' own files deleted. So a receipt is at
every moment in its own file, in a compact one, or in both, and a crash at any write leaves nothing to clear up but
files that do not count any more. Two rules make this hold for readers and for rivals:

- Who looks lists `done/` first and `done/compact/` second: what was deleted before the first is found in the second.
- Of receipts with one id that in a compact file counts. It was committed first: only after its own file was deleted
  could a retried task create that name again.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mue_model.config import ConfigError
from pipeline.bounded_map import bounded_map
from pipeline.canonical_json import digest_of
from pipeline.receipts import LedgerError, Receipt
from pipeline.storage import Storage

FOLDER = "done/compact"
COMPACT_AT = 2000
"""Receipts in files of their own that are worth a compaction: two pages of an object store's listing."""
_PER_FILE = 10_000
"""Most receipts of one file, some 5 MB: what one process must hold at a time to write or read it."""
_CONNECTIONS = 16
"""Deletions at a time."""


@dataclass(frozen=True)
class Loose:
    """Receipts in files of their own, by path."""

    receipts: Mapping[str, Receipt]
    digests: Mapping[str, str]
    """SHA-256 of each file as it was read."""
    leftovers: Sequence[str]
    """Files whose receipt's id is in a compact file too: they do not count."""


def compact(storage: Storage, loose: Loose, *, at_least: int) -> int:
    """Move the receipts of `loose` into compact files if there are `at_least` so many; return how many were moved.

    Leftovers of an earlier compaction are deleted in any case. Safe beside other drivers and other compactions.

    Raises:
        LedgerError: A file in `done/compact/` is not what its name says.
    """
    lines: dict[str, bytes] = {}
    if len(loose.receipts) >= at_least:
        candidates = ((path, receipt.to_json()) for path, receipt in sorted(loose.receipts.items()))
        # A receipt that was laid out by hand stays in the file that its digest belongs to.
        lines = {path: line for path, line in candidates if digest_of(line) == loose.digests[path]}
    paths = list(lines)
    for start in range(0, len(paths), _PER_FILE):
        _put(storage, b"".join(lines[path] for path in paths[start : start + _PER_FILE]))
    for _ in bounded_map(storage.delete, [*loose.leftovers, *paths], at_once=_CONNECTIONS):
        pass
    return len(paths)


def parse_compact(data: bytes, *, where: str, path: str) -> list[Receipt]:
    """Return the receipts in a compact file, or raise `LedgerError` if it is not the file that was written."""
    if path != _path_of(data):
        raise LedgerError(
            f"{where} is not the file that was written (its SHA-256 is not its name); restore it, "
            "or move it away: the rows of its receipts will be computed again"
        )
    try:
        return [Receipt.from_json(line, where=where) for line in data.splitlines()]
    except ConfigError as error:
        raise LedgerError(f"{error}; move it away: the rows of its receipts will be computed again") from error


def _put(storage: Storage, data: bytes) -> None:
    path = _path_of(data)
    if not storage.create(path, data) and storage.read(path) != data:
        raise LedgerError(f"{storage.url}/{path} is not the file that was written; restore it, or move it away")


def _path_of(data: bytes) -> str:
    return posixpath.join(FOLDER, f"{digest_of(data)}.jsonl")
