"""Reads a tar strictly from its first to its last byte, and raises `ShardError` wherever it is not a whole tar.

Python's tarfile, and readers built on it, take a damaged header or a missing end for the end of the archive and
drop what follows without a word. Here only two zero blocks and zeros after them are an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.records import ShardCode
from pipeline.tar_header import (
    BLOCK_BYTES,
    DATALESS_TYPES,
    FILE_TYPES,
    LINK_TYPES,
    LONG_LINK_TYPE,
    LONG_NAME_TYPE,
    PAX_GLOBAL_TYPE,
    PAX_TYPES,
    SPARSE_TYPE,
    Header,
    HeaderError,
    parse_header,
    parse_pax,
    pax_size,
    printable_name,
)
from pipeline.tar_source import CHUNK_BYTES, ShardError, TarSource

__all__ = ["MAX_EXTENSION_BYTES", "ShardError", "TarMember", "read_members"]

MAX_EXTENSION_BYTES = 1 << 20
"""Longest long name or set of pax records that is read; more is a corrupt header."""

_ZERO_BLOCK = bytes(BLOCK_BYTES)
_EXTENSION_TYPES = PAX_TYPES | {PAX_GLOBAL_TYPE, LONG_NAME_TYPE, LONG_LINK_TYPE}


@dataclass(frozen=True, slots=True)
class TarMember:
    """One regular file of a tar, or a link. `data` is None where it was cut or too large, and of links."""

    name: str
    """Valid UTF-8; other bytes are shown as escapes."""
    offset: int
    """Byte offset of its first header block, extension headers for it included."""
    size: int
    """Bytes of data as its header says."""
    data: bytes | None
    truncated: bool = False
    """Reading stopped inside the data; `ShardError` follows."""
    too_large: bool = False
    """Larger than the reader accepts; its data was passed over."""
    link: bool = False
    """The content is elsewhere: in another member, or nowhere in the tar."""


def read_members(stream: BinaryIO, *, max_member_bytes: int, seek: bool = False) -> Iterator[TarMember]:
    """Yield every regular file and link of the tar, in order, holding one member in memory at a time.

    Args:
        stream: Read forward only, from its position on.
        max_member_bytes: Members with more bytes are passed over and yielded as `too_large`.
        seek: Pass over data by seeking instead of reading; for seekable streams that start at their byte 0.

    Raises:
        ShardError: The tar is not whole, or storage failed. Everything before that place has been yielded, a member
            whose data is cut there as `truncated`.
    """
    source = TarSource(stream, seek=seek)
    global_records: dict[str, bytes] = {}
    while (entry := _next_entry(source, global_records)) is not None:
        if entry.link:
            yield TarMember(entry.name, entry.offset, 0, None, link=True)
        if not entry.has_data:
            continue
        too_large = entry.size > max_member_bytes
        data = source.read(entry.size) if entry.regular and not too_large else None
        got = source.skip(entry.size) if data is None else len(data)
        cut = got < entry.size
        if entry.regular:
            yield TarMember(entry.name, entry.offset, entry.size, None if cut else data, cut, too_large)
        del data
        if cut:
            raise source.ended(
                f"inside member {_short(entry.name)} at byte {entry.offset}, {got} of {entry.size} bytes"
            )
        padding = -entry.size % BLOCK_BYTES
        if source.skip(padding) < padding:
            raise source.ended(f"in the padding after member {_short(entry.name)} at byte {entry.offset}")


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    offset: int
    size: int
    regular: bool
    has_data: bool
    link: bool


def _next_entry(source: TarSource, global_records: dict[str, bytes]) -> _Entry | None:
    """Return the next member's description with its extension headers applied; None at a proper end."""
    start = source.offset
    long_name: bytes | None = None
    records: dict[str, bytes] = {}
    while True:
        offset = source.offset
        block = source.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise source.ended("where a header or the end-of-archive marker should be")
        if block == _ZERO_BLOCK:
            if offset != start:
                raise ShardError(ShardCode.CORRUPT_HEADER, f"byte {offset}: a zero block between a name and its member")
            _check_end(source)
            return None
        try:
            header = parse_header(block)
            if header.type not in _EXTENSION_TYPES:
                return _entry(header, long_name, global_records | records, start)
            data = _extension(source, header)
            if header.type == LONG_NAME_TYPE:
                long_name = data.partition(b"\0")[0]
            elif header.type in PAX_TYPES:
                records |= parse_pax(data)
            elif header.type == PAX_GLOBAL_TYPE:
                global_records |= parse_pax(data)
                if offset == start:
                    start = source.offset
        except HeaderError as error:
            raise ShardError(ShardCode.CORRUPT_HEADER, f"byte {offset}: {error}") from None


def _entry(header: Header, long_name: bytes | None, records: dict[str, bytes], offset: int) -> _Entry:
    if header.type == SPARSE_TYPE:
        raise HeaderError("a sparse member; write the shard without --sparse")
    name = header.name if long_name is None else long_name
    if path := records.get("path"):
        name = path.rstrip(b"/")
    size = pax_size(value) if (value := records.get("size")) else header.size
    dataless = header.type in DATALESS_TYPES or (header.type == b"\0" and name.endswith(b"/"))
    return _Entry(
        printable_name(name),
        offset,
        size,
        regular=header.type in FILE_TYPES and not dataless,
        has_data=not dataless,
        link=header.type in LINK_TYPES,
    )


def _extension(source: TarSource, header: Header) -> bytes:
    if header.size > MAX_EXTENSION_BYTES:
        raise HeaderError(f"an extension header of {header.size} bytes, more than {MAX_EXTENSION_BYTES}")
    padded = header.size + -header.size % BLOCK_BYTES
    data = source.read(padded)
    if len(data) < padded:
        raise source.ended("inside an extension header")
    return data[: header.size]


def _check_end(source: TarSource) -> None:
    """Raise unless a second zero block and then nothing but zeros follow."""
    offset = source.offset
    block = source.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES:
        raise source.ended("inside the end-of-archive marker")
    if block != _ZERO_BLOCK:
        message = f"byte {offset - BLOCK_BYTES}: one zero block where a header should be, and data after it"
        raise ShardError(ShardCode.CORRUPT_HEADER, message)
    while chunk := source.read(CHUNK_BYTES):
        if garbage := chunk.lstrip(b"\0"):
            offset = source.offset - len(garbage)
            message = f"byte {offset}: {garbage[:16]!r} after the end-of-archive marker"
            raise ShardError(ShardCode.TRAILING_DATA, message)
    if source.failure_code is not None:
        raise source.ended("after the end-of-archive marker")


def _short(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:200] + "...")
