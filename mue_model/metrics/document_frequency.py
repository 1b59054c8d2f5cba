"""In how many rows of a corpus a thing occurs, for any number of things, in sorted arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MERGE_AT = 1 << 20
"""Fewest entries that are merged at once."""

Counts = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]


class DocumentFrequency:
    """Counts rows by hash. Takes chunks of whole rows; 12 bytes a distinct hash, up to three times that in between."""

    def __init__(self, n_rows: int, *, merge_at: int = MERGE_AT) -> None:
        self._n_rows = n_rows
        self._merge_at = merge_at
        self._hashes: Hashes = np.empty(0, np.uint64)
        self._counts: Counts = np.empty(0, np.uint32)
        self._waiting: list[tuple[Hashes, Counts]] = []
        self._n_waiting = 0

    def add(self, row: npt.NDArray[np.int64], hashes: Hashes) -> None:
        """Count each hash once for each row it occurs in; a row must not come in two calls."""
        kinds, kind = np.unique(hashes, return_inverse=True)
        n_rows = int(row.max(initial=0)) + 1
        pairs = np.unique(kind * n_rows + row)
        self._waiting.append((kinds, np.bincount(pairs // n_rows, minlength=len(kinds)).astype(np.uint32)))
        self._n_waiting += len(kinds)
        # Merging when as much waits as is merged already keeps the work at n log n.
        if self._n_waiting >= max(self._merge_at, len(self._hashes)):
            self._merge()

    def idf(self, hashes: Hashes) -> npt.NDArray[np.float64]:
        """Return log(rows / rows with the hash) for sorted `hashes`; one that never occurred counts as one row."""
        self._merge()
        rows = np.ones(len(hashes))
        if len(self._hashes):
            place = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            known = self._hashes[place] == hashes
            rows[known] = self._counts[place[known]]
        return np.log(self._n_rows) - np.log(rows)

    def _merge(self) -> None:
        if not self._waiting:
            return
        hashes = np.concatenate([self._hashes, *(part for part, _ in self._waiting)])
        counts = np.concatenate([self._counts, *(part for _, part in self._waiting)])
        self._waiting, self._n_waiting = [], 0
        order = np.argsort(hashes)
        hashes, counts = hashes[order], counts[order]
        first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])) if len(hashes) else np.empty(0, np.int64)
        self._hashes, self._counts = hashes[first], np.add.reduceat(counts, first) if len(first) else counts
