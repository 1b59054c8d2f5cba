"""The receipts in `done/`, each file read once however often one looks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pipeline.manifest import FileDigest, file_digest
from pipeline.publish import parse_receipt
from pipeline.receipts import Receipt
from pipeline.storage import Storage

_CONNECTIONS = 16
"""Receipts read at a time: in an object store each costs a round trip."""


class ReceiptLog:
    """Knows every receipt file and its digest as of the last `refresh`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, tuple[Receipt, FileDigest]] = {}

    def refresh(self) -> list[Receipt]:
        """Read what is new in `done/` and return all receipts, sorted by id.

        Raises:
            LedgerError: A file there is no receipt.
        """
        paths = [path for path in self._storage.list("done") if not path.startswith("done/.")]
        new = [path for path in paths if path not in self._known]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            found = dict(zip(new, pool.map(self._read, new), strict=True))
        # Replaced as a whole: a thread that polls at the same time sees either the old or the new state.
        self._known = {path: self._known.get(path) or found[path] for path in paths}
        return sorted((receipt for receipt, _ in self._known.values()), key=lambda receipt: receipt.id)

    def digests(self) -> dict[str, FileDigest]:
        """Return the digest of each receipt file of the last `refresh`, by path."""
        return {path: digest for path, (_, digest) in self._known.items()}

    def __getstate__(self) -> dict[str, object]:
        return {"_storage": self._storage, "_known": {}}

    def _read(self, path: str) -> tuple[Receipt, FileDigest]:
        data = self._storage.read(path)
        return parse_receipt(data, where=f"{self._storage.url}/{path}", path=path), file_digest(data)
