"""Every receipt of a job, in its own file or in a compact one, each file read once however often one looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from pipeline.bounded_map import bounded_map
from pipeline.compaction import FOLDER, Loose, parse_compact
from pipeline.manifest import FileDigest, file_digest
from pipeline.publish import parse_receipt
from pipeline.receipts import LedgerError, Receipt
from pipeline.storage import FileAbsent, Storage

_CONNECTIONS = 16
"""Files read at a time: in an object store each costs a round trip."""
_LOOKS = 10
"""Listings before it concludes that the folder never holds still."""

FileT = TypeVar("FileT")


class ReceiptLog:
    """Knows every receipt and the digest of its file as of the last `refresh`; some 1.5 KB of memory a receipt."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._seen = _Seen()

    def refresh(self) -> tuple[Receipt, ...]:
        """Read what is new and return all receipts, each id once, sorted by id; the same tuple where nothing changed.

        Raises:
            LedgerError: A file there is no receipt, or a compact file is damaged.
        """
        for _ in range(_LOOKS):
            # In this order: see `pipeline.compaction`.
            own = [path for path in self._storage.list("done") if not path.startswith("done/.")]
            compact = self._storage.list(FOLDER)
            try:
                # Replaced as a whole: a thread that polls at the same time sees either the old or the new state.
                self._seen = self._look(own, compact)
            except FileAbsent:
                continue  # it was compacted after it was listed
            return self._seen.receipts
        raise LedgerError(f"{self._storage.url}/done: files keep vanishing while they are read; is someone deleting?")

    def loose(self) -> Loose:
        """Return what the last `refresh` found outside compact files; refreshes where there was none."""
        if not self._seen.receipts:
            self.refresh()
        seen = self._seen
        return Loose(
            receipts={path: receipt for path, (receipt, _) in seen.own.items()},
            digests={path: digest.sha256 for path, (_, digest) in seen.own.items()},
            leftovers=seen.leftovers,
        )

    def digests(self) -> dict[str, FileDigest]:
        """Return the digest of each file that holds receipts which count, by path, as of the last `refresh`."""
        seen = self._seen
        return {path: digest for files in (seen.own, seen.compact) for path, (_, digest) in files.items()}

    def __getstate__(self) -> dict[str, object]:
        return {"_storage": self._storage, "_seen": _Seen()}

    def _look(self, own: list[str], compact: list[str]) -> _Seen:
        packed = self._read(compact, self._seen.compact, self._read_compact)
        ids = {receipt.id for receipts, _ in packed.values() for receipt in receipts}
        leftovers = frozenset(path for path in own if path[len("done/") : -len(".json")] in ids)
        wanted = [path for path in own if path not in leftovers]
        if self._seen.own.keys() == set(wanted) and self._seen.compact.keys() == packed.keys() and not leftovers:
            return self._seen
        return _Seen(self._read(wanted, self._seen.own, self._read_own), packed, tuple(sorted(leftovers)))

    def _read(self, paths: Iterable[str], known: Mapping[str, FileT], read: Callable[[str], FileT]) -> dict[str, FileT]:
        """What is in `paths`; files known already are not read again."""
        new = [path for path in paths if path not in known]
        found = dict(zip(new, bounded_map(read, new, at_once=_CONNECTIONS), strict=True))
        return {path: found[path] if path in found else known[path] for path in paths}

    def _read_own(self, path: str) -> tuple[Receipt, FileDigest]:
        data = self._storage.read(path)
        return parse_receipt(data, where=f"{self._storage.url}/{path}", path=path), file_digest(data)

    def _read_compact(self, path: str) -> tuple[list[Receipt], FileDigest]:
        data = self._storage.read(path)
        return parse_compact(data, where=f"{self._storage.url}/{path}", path=path), file_digest(data)


@dataclass(frozen=True)
class _Seen:
    """What one look at the folder found."""

    own: dict[str, tuple[Receipt, FileDigest]] = field(default_factory=dict)
    """Receipts that count and have a file of their own, by path."""
    compact: dict[str, tuple[list[Receipt], FileDigest]] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    """Files that do not count: their ids are in a compact file too."""

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """Each id once, sorted by id."""
        by_id = {receipt.id: receipt for receipt, _ in self.own.values()}
        for receipts, _ in reversed(self.compact.values()):
            by_id.update((receipt.id, receipt) for receipt in receipts)
        return tuple(by_id[name] for name in sorted(by_id))
