"""A stored file read forward or by seeking, which asks again where storage fails for a moment.

It goes on at the byte where it was, and only if the file is still the same: no reader ever sees a mixture of two
versions.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from typing import Any

from pipeline.records import ShardCode
from pipeline.tar_source import ShardError

logger = logging.getLogger(__name__)

PAUSES_S = (0.2, 1.0, 5.0, 20.0)
"""Waits before each new try; bytes that arrive start the count anew."""

Opener = Callable[[int], Any]
"""Opens the file so that the next byte read is that at the given offset."""


class RetryingFile(io.RawIOBase):
    """Bytes of one version of a file; `ShardError` once storage has failed too often, or the file is another one."""

    def __init__(
        self,
        open_at: Opener,
        version: Callable[[], str],
        *,
        size: int | None,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        """Open the file; errors of the first opening are those of the storage.

        Args:
            open_at: Opens it, the first time and again.
            version: Tells the present version; asked now and before it is opened again.
            size: In bytes; None where storage does not say, which rules out seeking from the end.
            pauses_s: Waits in seconds between tries.
        """
        super().__init__()
        self._open_at, self._version, self._size, self._pauses_s = open_at, version, size, pauses_s
        self._first_version = version()
        self._offset = 0
        self._file: Any = open_at(0)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Where the file's size is known."""
        return self._size is not None

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is asked of storage before the next read."""
        if self._size is None:
            raise io.UnsupportedOperation("the size of the file is not known")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        target = max(0, base + offset)
        if target != self._offset:
            self._offset = target
            if self._file is not None:
                self._file.seek(target)
        return target

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, at most `size`; none only at the end."""
        tries = iter(self._pauses_s)
        while True:
            try:
                if self._file is None:
                    self._file = self._open_at(self._offset)
                data: bytes = self._file.read(-1 if size is None else size)
                self._offset += len(data)
                if not data and size != 0 and self._size is not None and self._offset < self._size:
                    raise ConnectionError(f"storage ended at byte {self._offset} of {self._size}")
                return data
            except MemoryError:
                raise
            except Exception as error:  # storage backends raise classes of their own
                self._drop()
                self._wait_or_raise(error, next(tries, None))

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as one read does."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Return all bytes that are left."""
        parts = []
        while part := self.read(-1):
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let the connection go."""
        self._drop()
        super().close()

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except Exception as error:  # it is broken already, and another one takes its place
                logger.debug("a failed connection could not be closed: %s", error)

    def _wait_or_raise(self, error: Exception, pause_s: float | None) -> None:
        what = f"reading failed at byte {self._offset}: {type(error).__name__}: {error}"
        if pause_s is None or isinstance(error, (PermissionError, FileNotFoundError)):
            raise ShardError(ShardCode.UNREADABLE, what) from error
        logger.info("%s; trying again in %s s", what, pause_s)
        time.sleep(pause_s)
        try:
            now = self._version()
        except Exception as again:  # storage is still away: the next try counts
            logger.debug("storage is still away: %s", again)
            return
        if now != self._first_version:
            message = f"the shard changed while it was read: version {self._first_version}, now {now}"
            raise ShardError(ShardCode.CHANGED, message) from error
