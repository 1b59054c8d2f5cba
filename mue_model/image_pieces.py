"""Counts the pieces of which an image file is made before Pillow makes Python objects of each.

A piece may be four bytes long and takes a hundred in memory: without a bound a file of 16 MiB took 600 MiB and many
seconds. Only as far as the bound is anything counted.
"""

from __future__ import annotations

import re

MAX_PIECES = 100_000
"""Most short JPEG segments, PNG chunks, or GIF blocks before the first frame. A photograph has some dozens; a PNG of
256 MiB, cut as libpng cuts it, 33,000."""

_SHORT_SEGMENT = re.compile(rb"\xff[\xe0-\xef\xfe]\x00")
"""An APP or COM segment of fewer than 256 bytes. Among coded pixels no such bytes occur, in anything else rarely."""


def too_many_pieces(data: bytes) -> bool:
    """Return whether a JPEG, PNG or GIF is made of more than `MAX_PIECES`; of other data, and broken data, False."""
    if data.startswith(b"\xff\xd8"):
        return any(number == MAX_PIECES for number, _ in enumerate(_SHORT_SEGMENT.finditer(data)))
    if data.startswith(b"\x89PNG"):
        return _png_chunks(data) > MAX_PIECES
    if data.startswith(b"GIF8"):
        return _gif_blocks(data) > MAX_PIECES
    return False


def _png_chunks(data: bytes) -> int:
    """Count the chunks up to the last; what is appended to a file is none of it."""
    at, chunks = 8, 0
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND" and chunks <= MAX_PIECES:
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        chunks += 1
    return chunks


def _gif_blocks(data: bytes) -> int:
    """Count extensions and their blocks up to the first frame."""
    if len(data) < 13:
        return 0
    at, blocks = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0), 0
    while at < len(data) and data[at] not in (0x2C, 0x3B) and blocks <= MAX_PIECES:
        blocks += 1
        if data[at] != 0x21:
            at += 1  # what is no block is passed over byte by byte, as Pillow does
            continue
        at += 2
        while at < len(data) and data[at] and blocks <= MAX_PIECES:
            at += 1 + data[at]
            blocks += 1
        at += 1
    return blocks
