"""Says which members of a tar form a row, by WebDataset's rules for names."""

from __future__ import annotations

import re

_META = re.compile(r"__[^/]*__($|/)")


def split_name(name: str) -> tuple[str, str] | None:
    """Return (key, lower-case suffix) of a member's name; None for names that belong to no row.

    The key is the path up to the first dot of the file name, the suffix all that follows. Names without a dot and
    those that begin with a `__part__` belong to no row. A file name that begins with a dot has a key only where its
    folder's name has no dot: `a/.x.jpg` is (`a/`, `x.jpg`), as WebDataset has it.
    """
    if _META.match(name):
        return None
    start = name.rfind("/") + 1
    dot = name.find(".", start)
    if dot < 0:
        return None
    if dot == start:
        folder = name[name.rfind("/", 0, max(start - 1, 0)) + 1 : start]
        if not folder or "." in folder:
            return None
    return name[:dot], name[dot + 1 :].lower()


class RowGrouping:
    """Finds where rows begin: at another key than the last member's, or at a suffix that the row has already.

    WebDataset raises on the second; here nothing is lost. Equal keys that do not follow each other are separate rows.
    """

    def __init__(self) -> None:
        self._key: str | None = None
        self._suffixes: set[str] = set()

    def begins_row(self, key: str, suffix: str) -> bool:
        """Take the next member's name; return whether a row begins with it."""
        begins = key != self._key or suffix in self._suffixes
        if begins:
            self._key = key
            self._suffixes = set()
        self._suffixes.add(suffix)
        return begins
