"""A folder that fails at a chosen write: the fake with which crashes are rehearsed."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import pyarrow as pa

from pipeline.folders import TEMPORARY, Folder
from pipeline.storage import Storage

Moment = Literal["before", "torn", "after"]


class Killed(BaseException):
    """Stands for the end of the process: nothing that handles errors catches it."""


def interrupting(
    storage: Storage, *, at: int, moment: Moment, killed: bool = True, error: int = errno.ENOSPC
) -> Storage:
    """Return `storage` so changed that its `at`-th write, counted from 0, goes wrong.

    Args:
        storage: Keeps everything that was written up to then.
        at: Which create, write or delete fails.
        moment: `before` it takes effect, `after` it did, or `torn`: with half of the data in a temporary file.
        killed: Raise `Killed`; else an I/O error.
        error: Number of the I/O error: as from a full disk, or one that passes.
    """
    return Storage(storage.url, InterruptingFolder(storage.folder, at, moment, killed, error))


@dataclass(frozen=True)
class InterruptingFolder:
    """Passes everything on to `inner`, except for the one write that fails."""

    inner: Folder
    at: int
    moment: Moment
    killed: bool
    error: int
    _writes: count[int] = field(default_factory=count)

    def create(self, path: str, data: bytes) -> bool:
        """Create, or fail if it is this write's turn."""
        with self._turn(path, data):
            return self.inner.create(path, data)

    def write(self, path: str, data: bytes) -> None:
        """Write, or fail if it is this write's turn."""
        with self._turn(path, data):
            self.inner.write(path, data)

    def delete(self, path: str) -> None:
        """Delete, or fail if it is this write's turn."""
        with self._turn(path, b""):
            self.inner.delete(path)

    def read(self, path: str) -> bytes:
        """Pass on."""
        return self.inner.read(path)

    def names(self, path: str) -> list[str]:
        """Pass on."""
        return self.inner.names(path)

    def size(self, path: str) -> int:
        """Pass on."""
        return self.inner.size(path)

    def open_input(self, path: str) -> pa.NativeFile:
        """Pass on."""
        return self.inner.open_input(path)

    @contextmanager
    def _turn(self, path: str, data: bytes) -> Iterator[None]:
        turn = next(self._writes) == self.at
        if turn and self.moment != "after":
            self._fail(path, data)
        yield
        if turn:
            self._fail(path, data)

    def _fail(self, path: str, data: bytes) -> None:
        if self.moment == "torn":
            self.inner.write(posixpath.join(posixpath.dirname(path), f"{TEMPORARY}torn"), data[: len(data) // 2])
        if self.killed:
            raise Killed(f"{self.moment} the write of {path}")
        raise OSError(self.error, f"{self.moment} the write of {path}")
