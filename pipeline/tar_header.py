"""Parses single tar blocks: headers (v7, ustar, GNU) and pax records. Pure functions of bytes, no I/O.

Format: POSIX.1-2017 `pax`, sections "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic
Tar Format".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCK_BYTES = 512

FILE_TYPES = frozenset({b"0", b"\0", b"7"})
"""Regular files; NUL is v7's flag, 7 a contiguous file."""
LINK_TYPES = frozenset({b"1", b"2"})
"""Hard and symbolic links: names whose content is elsewhere."""
DATALESS_TYPES = LINK_TYPES | {b"3", b"4", b"5", b"6"}
"""Links, devices, folders, FIFOs: no data follows, whatever their size field says."""
PAX_TYPES = frozenset({b"x", b"X"})
"""Pax records for the next member (X: Solaris)."""
PAX_GLOBAL_TYPE = b"g"
LONG_NAME_TYPE = b"L"
LONG_LINK_TYPE = b"K"
SPARSE_TYPE = b"S"

_NAME = slice(0, 100)
_SIZE = slice(124, 136)
_CHECKSUM = slice(148, 156)
_TYPE = slice(156, 157)
_MAGIC = slice(257, 265)
_PREFIX = slice(345, 500)

_GNU_MAGIC = b"ustar  \0"
_GZIP_MAGIC = b"\x1f\x8b"
_HIGH_BYTES = bytes(range(128, 256))
_OCTAL = re.compile(rb"[0-7]*")
_SPARSE_RECORD = "GNU.sparse"
_RECORDS_USED = ("path", "size")


class HeaderError(ValueError):
    """The bytes are not what the tar format asks for; the message says what was found."""


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of one header block that decide how reading goes on."""

    name: bytes
    size: int
    type: bytes


def parse_header(block: bytes) -> Header:
    """Return the fields of one 512-byte block whose checksum holds, or raise `HeaderError`."""
    try:
        stated = _octal(block[_CHECKSUM])
    except HeaderError:
        raise HeaderError(f"no tar header: {_beginning(block)}") from None
    found = _checksum(block)
    if stated not in (found, found - 256 * _n_high(block)):  # some old tars sum signed bytes
        raise HeaderError(f"a header whose checksum is {stated} but should be {found}: {_beginning(block)}")
    return Header(_name(block), _size(block[_SIZE]), block[_TYPE])


def parse_pax(data: bytes) -> dict[str, bytes]:
    """Return the pax records that matter here (`path`, `size`), or raise `HeaderError`.

    A record with an empty value is kept: it cancels a global one. Sparse members cannot be read and raise.
    """
    records: dict[str, bytes] = {}
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space >= 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        keyword, equals, value = data[space + 1 : end].partition(b"=")
        if not equals or end > len(data) or not value.endswith(b"\n"):
            raise HeaderError(f"a broken pax record: {data[position : position + 40]!r}")
        name = keyword.decode("utf-8", "backslashreplace")
        if name.startswith(_SPARSE_RECORD):
            raise HeaderError("a sparse member; write the shard without --sparse")
        if name in _RECORDS_USED:
            records[name] = value[:-1]
        position = end
    return records


def pax_size(value: bytes) -> int:
    """Return the number of a pax `size` record, or raise `HeaderError`."""
    if not value.isdigit() or len(value) > 20:
        raise HeaderError(f"a pax size that is no number: {value[:40]!r}")
    return int(value)


def printable_name(name: bytes) -> str:
    r"""Return the name as valid UTF-8 text; a byte that is not UTF-8 becomes `\xNN`."""
    return name.decode("utf-8", "backslashreplace")


def _name(block: bytes) -> bytes:
    name = _until_nul(block[_NAME])
    # GNU headers keep timestamps, v7 headers nothing defined, where ustar keeps the first part of a long name.
    magic = block[_MAGIC]
    if magic.startswith(b"ustar") and magic != _GNU_MAGIC and (prefix := _until_nul(block[_PREFIX])):
        return prefix + b"/" + name
    return name


def _size(field: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        raise HeaderError(f"a header with a negative size: {field!r}")
    return _octal(field)


def _octal(field: bytes) -> int:
    digits = _until_nul(field).strip(b" ")
    if not _OCTAL.fullmatch(digits):
        raise HeaderError(f"a header with a number that is not octal: {field!r}")
    return int(digits or b"0", 8)


def _checksum(block: bytes) -> int:
    """Return the sum of the block's bytes, those of the checksum field taken as spaces."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _n_high(block: bytes) -> int:
    """Return how many bytes outside the checksum field are above 127."""
    rest = block[: _CHECKSUM.start] + block[_CHECKSUM.stop :]
    return len(rest) - len(rest.translate(None, _HIGH_BYTES))


def _until_nul(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _beginning(block: bytes) -> str:
    hint = " (gzip data: should the shard be named .tar.gz?)" if block.startswith(_GZIP_MAGIC) else ""
    return f"the block begins {block[:16]!r}{hint}"
