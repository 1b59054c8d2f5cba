"""What `Storage` needs from the place where the files lie: a local disk or an object store.

Folders take clean relative paths and raise the errors of the system below; `pipeline.storage` checks the
paths and puts the errors into words.
"""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

TEMPORARY = ".tmp-"
"""Files with this prefix are unfinished writes of a local folder; nothing reads or lists them."""


class NoHardLinks(OSError):
    """The file system cannot create a file exclusively with its content."""


class Folder(Protocol):
    """What `Storage` needs from the place where the files lie."""

    def create(self, path: str, data: bytes) -> bool:
        """Write a new file whole; return whether it was new. Of several creators exactly one gets True."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write or replace a file whole."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        ...

    def names(self, path: str) -> list[str]:
        """Return the names of the files directly in `path`, in any order; none where there is no such folder."""
        ...

    def size(self, path: str) -> int:
        """Return a file's size in bytes; raise `FileNotFoundError` where there is none."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; an absent one is fine."""
        ...

    def open_input(self, path: str) -> pa.NativeFile:
        """Open a file for random reads."""
        ...
