"""A byte stream that knows its offset and can say why it ended: `ShardError`."""

from __future__ import annotations

import os
from typing import BinaryIO

from pipeline.errors import PipelineError
from pipeline.records import ShardCode

CHUNK_BYTES = 1 << 20
"""Most bytes held while data is passed over."""


class ShardError(PipelineError):
    """The shard cannot be read further; the message names the byte offset in the tar and what was found."""

    def __init__(self, code: ShardCode, message: str) -> None:
        # Both arguments go to Exception so that the error survives pickling between processes.
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class TarSource:
    """A stream that counts its bytes and, where it ends or breaks, says so once it is asked."""

    def __init__(self, stream: BinaryIO, *, seek: bool) -> None:
        self._stream = stream
        self._seek = seek
        self._failure: Exception | None = None
        self.offset = 0

    @property
    def failure_code(self) -> ShardCode | None:
        """Why reading stopped; None while it has not, or where the stream just ended."""
        if self._failure is None:
            return None
        return self._failure.code if isinstance(self._failure, ShardError) else ShardCode.UNREADABLE

    def read(self, n_bytes: int) -> bytes:
        """Return the next `n_bytes`, or fewer only where the stream ends or breaks."""
        parts = []
        missing = n_bytes
        while missing and (part := self._read_some(missing)):
            parts.append(part)
            missing -= len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.offset += len(data)
        return data

    def skip(self, n_bytes: int) -> int:
        """Pass over the next `n_bytes`; return how many there were."""
        if self._seek:
            return self._seek_over(n_bytes)
        left = n_bytes
        while left and (part := self.read(min(left, CHUNK_BYTES))):
            left -= len(part)
        return n_bytes - left

    def ended(self, where: str) -> ShardError:
        """Return the error for a stream that had too few bytes."""
        if self._failure is not None and self.failure_code is not None:
            known = isinstance(self._failure, ShardError)
            what = str(self._failure) if known else f"{type(self._failure).__name__}: {self._failure}"
            return ShardError(self.failure_code, f"reading stopped at byte {self.offset}, {where}: {what}")
        if self.offset == 0:
            return ShardError(ShardCode.EMPTY_FILE, "the tar has zero bytes")
        return ShardError(ShardCode.TRUNCATED, f"the tar ends at byte {self.offset}, {where}")

    def _seek_over(self, n_bytes: int) -> int:
        try:
            end = self._stream.seek(0, os.SEEK_END)
            there = min(n_bytes, end - self.offset)
            self.offset = self._stream.seek(self.offset + there)
        except OSError as error:
            self._failure = error
            return 0
        return there

    def _read_some(self, n_bytes: int) -> bytes:
        if self._failure is not None:
            return b""
        try:
            return self._stream.read(n_bytes)
        except MemoryError:
            raise
        except Exception as error:  # storage backends raise classes of their own; `ended` reports it
            self._failure = error
            return b""
