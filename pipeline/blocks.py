"""How large the tables between stages may be, so that Ray never cuts one inside an image.

Ray gathers what an actor's call yields until it has more than `TARGET_BLOCK_BYTES`, and then cuts rows off only from
half as much again. Pieces of less than half a block are therefore never cut, and write tasks gather whole blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TARGET_BLOCK_BYTES = 16 << 20
PIECE_BYTES = 4 << 20
"""Most bytes that an actor yields at a time, unless one image has more."""
IMAGE_BYTES = 7 << 20
"""Most bytes that the committed rows of one image may have."""
ROW_BYTES = 1200
"""Bytes of one committed row at most, texts of any length left out."""


def most_queries(key: str | None, uri: str | None, *, answer_bytes: int) -> int:
    """Return how many rows an image may have so that they stay below `IMAGE_BYTES`, at least one."""
    texts = len((key or "").encode()) + len((uri or "").encode())
    return max(1, IMAGE_BYTES // (ROW_BYTES + texts + answer_bytes))


def cut_at_images(table: pa.Table, piece_bytes: int = PIECE_BYTES) -> Iterator[pa.Table]:
    """Yield a `COMMIT_SCHEMA` table in pieces of at most `piece_bytes`; all rows of an image are in one piece."""
    if table.nbytes <= piece_bytes:
        yield table
        return
    begin, size = 0, 0
    for start, stop in _images(table):
        n_bytes = table.slice(start, stop - start).nbytes
        if size and size + n_bytes > piece_bytes:
            yield table.slice(begin, start - begin)
            begin, size = start, 0
        size += n_bytes
    yield table.slice(begin)


def _images(table: pa.Table) -> Iterator[tuple[int, int]]:
    """Yield the places [start, stop) of each image's rows; a control row stands alone."""
    rows = pc.fill_null(table["query"], 0).to_numpy()
    starts = np.flatnonzero(rows == 0).tolist()
    yield from zip(starts, [*starts[1:], len(table)], strict=True)
