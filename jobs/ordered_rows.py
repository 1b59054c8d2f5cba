"""The committed rows of one shard by row_in_shard and query, whatever parts hold them; few parts in memory at a time.

Two jobs, or a job and its input, are put side by side this way: rows meet by what they are, never by position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger import Ledger
from pipeline.receipts import Receipt, live
from pipeline.shared_meta import with_meta_json

_PARTS_HELD = 4
_BATCH = 1024
PLACE = ("shard_id", "row_in_shard", "query")
"""What says which row it is, and must be among the columns."""


class OrderedRows:
    """Reads rows shard by shard. Parts that take turns within a shard are held, the last few of them."""

    def __init__(self, ledger: Ledger, columns: Sequence[str]) -> None:
        """Take the rows that are committed now; `meta_json` among the columns is put on all queries of an image."""
        self._columns = list(dict.fromkeys([*PLACE, *columns]))
        self._segments: dict[str, list[tuple[int, int, Receipt]]] = {}
        for receipt in live(ledger.receipts()):
            for shard_id, ranges in receipt.ranges.items():
                self._segments.setdefault(shard_id, []).extend((start, stop, receipt) for start, stop in ranges)
        by_id = {receipt.id: receipt for held in self._segments.values() for *_, receipt in held}

        @lru_cache(maxsize=_PARTS_HELD)
        def table(receipt_id: str) -> pa.Table:
            part = ledger.read_part(by_id[receipt_id], self._columns)
            return with_meta_json(part) if "meta_json" in self._columns else part

        self._table = table

    def of(self, shard_id: str) -> Iterator[dict[str, Any]]:
        """Yield the shard's rows; none where nothing of it is committed."""
        segments = sorted(self._segments.get(shard_id, ()), key=lambda segment: segment[:2])
        for start, stop, receipt in segments:
            part = self._table(receipt.id)
            numbers = part["row_in_shard"]
            is_here = pc.and_(pc.greater_equal(numbers, start), pc.less(numbers, stop))
            # Sorted within the part, and the ranges of a shard do not overlap.
            rows = part.filter(pc.and_(is_here, pc.equal(part["shard_id"], shard_id)))
            for batch in rows.to_batches(max_chunksize=_BATCH):
                yield from batch.to_pylist()

    def images_of(self, shard_id: str) -> Iterator[list[dict[str, Any]]]:
        """Yield, image by image, the rows of all its queries."""
        image: list[dict[str, Any]] = []
        for row in self.of(shard_id):
            if image and image[0]["row_in_shard"] != row["row_in_shard"]:
                yield image
                image = []
            image.append(row)
        if image:
            yield image
