"""Local files of strangers, opened without waiting for a pipe or touching a device, whatever a link leads to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 64 << 20
"""Largest description that is read of a model or a job: many times the largest vocabulary."""
_DESCRIPTORS = ("/dev/fd/", "/proc/self/fd/")
_HARMLESS = ("/dev/null", "/dev/stdin")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file for reading; raise `OSError` where there is none, or something else than a regular file."""
    # A pipe without a writer would wait for ever, and a device may do anything once it is opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def open_given(path: str | Path) -> BinaryIO:
    """Open what a user names on a command line: a regular file, or what a shell hands over.

    That is `/dev/stdin`, `<(...)`, and `/dev/null`; they are read as they are, to an end or as far as the reader goes.

    Raises:
        OSError: As `open_regular` does. A pipe with a name of its own may have no writer, and is refused.
    """
    if str(path) in _HARMLESS or str(path).startswith(_DESCRIPTORS):
        return open(path, "rb")
    return open_regular(path)


def read_bounded(
    path: str | Path, *, most_bytes: int = MOST_BYTES, opened: Callable[[str | Path], BinaryIO] = open_regular
) -> bytes:
    """Return the bytes of a regular file; raise `OSError` as `opened` does, and where there are more."""
    with opened(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"has more than {most_bytes:,} bytes", str(path))
    return data
