"""Finds names that occur more than once, in memory that grows with the repeated ones alone.

Names are told apart by 128 bits of a digest, kept in files by its first bits and compared a file at a time.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_FILES = 256
_BUFFER_BYTES = 1 << 14
_DIGEST_BYTES = 16


def name_digest(name: str) -> bytes:
    """Return what stands for a name: equal for equal names, and for others never in practice."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def repeated_names(names: Iterable[str]) -> set[bytes]:
    """Return the digests of the names that occur more than once; `name_digest` of a name says whether it is one."""
    with tempfile.TemporaryDirectory(prefix="mue-names-") as folder:
        files = [Path(folder) / str(number) for number in range(_FILES)]
        buffers = [bytearray() for _ in files]
        for name in names:
            digest = name_digest(name)
            buffer = buffers[digest[0]]
            buffer += digest
            if len(buffer) >= _BUFFER_BYTES:
                _append(files[digest[0]], buffer)
        for file, buffer in zip(files, buffers, strict=True):
            _append(file, buffer)
        return {digest for file in files for digest in _repeated(file)}


def _append(file: Path, buffer: bytearray) -> None:
    if buffer:
        with file.open("ab") as stream:
            stream.write(buffer)
        buffer.clear()


def _repeated(file: Path) -> list[bytes]:
    if not file.exists():
        return []
    values = np.frombuffer(file.read_bytes(), dtype=[("high", ">u8"), ("low", ">u8")])
    ordered = np.sort(values, order=("high", "low"))
    return [value.tobytes() for value in np.unique(ordered[1:][ordered[1:] == ordered[:-1]])]
