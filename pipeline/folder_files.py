"""Lists the files of a folder, nested folders too, always in the same order: on a local disk or in an object store.

The order is that of a walk: the files of a folder by name, then its folders by name. Names that begin with a dot are
passed over, as shells do. Links to folders are followed, except back into a folder that is being walked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any

import fsspec

from pipeline.file_version import local_version, stored_version
from pipeline.identity import is_local

Position = tuple[tuple[str, ...], str]
"""A file's place in the order: the names of its folders below the listed one, and its own."""

DANGLING = "is a link to nothing"
"""What is wrong with a link whose target is not there."""

_LISTS_BY_PREFIX = ("s3", "s3a", "gs", "gcs")
"""Stores whose file systems list only names with a given beginning."""
_AFTER_ALL = "\U0010ffff"
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What storage says about a file without opening it."""

    size: int
    version: str
    problem: str | None = None
    """Why it must not be opened, as in "is a socket, not a file"; None of a regular file."""


@dataclass(frozen=True, slots=True)
class FolderFile:
    """One name in a folder that is not itself a folder."""

    name: str
    """Valid UTF-8; other bytes are shown as escapes."""
    place: str
    """Path or URL to open it by."""
    info: dict[str, Any] | None = None
    """What an object store's listing says about it."""

    def facts(self) -> FileFacts:
        """Return size and version as they are now (local), or as listed; never raises for what the file is."""
        if self.info is not None:
            return FileFacts(int(self.info.get("size") or 0), stored_version(self.info))
        try:
            found = os.stat(self.place)
        except FileNotFoundError:
            return FileFacts(0, "", DANGLING)
        except OSError as error:
            return FileFacts(0, "", f"cannot be looked at: {error.strerror or error}")
        if not stat.S_ISREG(found.st_mode):
            return FileFacts(0, "", f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'a special file')}, not a file")
        return FileFacts(found.st_size, local_version(found))


def position_of(path: str) -> Position:
    """Return the position of a path relative to the listed folder."""
    *folders, name = path.split("/")
    return tuple(folders), name


def list_files(
    url: str, *, first: Position | None = None, last: Position | None = None
) -> Iterator[tuple[tuple[str, ...], list[FolderFile]]]:
    """Yield the names of each folder below `url` with its files by name; folders without files are left out.

    Args:
        url: A path, or the URL of a folder in an object store.
        first: Folders and files that lie before this position, and beside no file after it, may be left out.
        last: Likewise those after this one.

    Raises:
        OSError: A folder cannot be listed; of object stores also their client library's own errors.
    """
    if is_local(url):
        yield from _local(url, first, last)
    else:
        yield from _remote(url, first, last)


def _local(
    root: str, first: Position | None, last: Position | None
) -> Iterator[tuple[tuple[str, ...], list[FolderFile]]]:
    waiting: list[tuple[str, tuple[str, ...], frozenset[tuple[int, int]]]] = [(root, (), frozenset())]
    while waiting:
        path, folders, above = waiting.pop()
        facts = os.stat(path)
        identity = (facts.st_dev, facts.st_ino)
        if identity in above:
            continue
        low, high = _name_bounds(folders, first, last)
        files: list[FolderFile] = []
        inner: list[tuple[str, str]] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = _printable(entry.name)
                if _is_folder(entry):
                    inner.append((name, entry.path))
                elif low <= name <= high:
                    files.append(FolderFile(name, entry.path))
        if files:
            yield folders, sorted(files, key=lambda file: file.name)
        below = [(place, (*folders, name), above | {identity}) for name, place in sorted(inner, reverse=True)]
        waiting += [folder for folder in below if not _outside(folder[1], first, last)]


def _name_bounds(folders: tuple[str, ...], first: Position | None, last: Position | None) -> tuple[str, str]:
    """Return between which names the files of a folder are wanted, those beside the first and last image included.

    Names up to their first dot are compared: a file beside an image shares no more than the name without suffixes.
    """
    low = first[1].partition(".")[0] if first is not None and first[0] == folders else ""
    high = last[1].partition(".")[0] if last is not None and last[0] == folders else ""
    return low, f"{high}{_AFTER_ALL}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def _outside(folders: tuple[str, ...], first: Position | None, last: Position | None) -> bool:
    """Return whether everything below a folder lies before `first` or after `last`."""
    depth = len(folders)
    return (first is not None and first[0][:depth] > folders) or (last is not None and last[0][:depth] < folders)


def _remote(
    url: str, first: Position | None, last: Position | None
) -> Iterator[tuple[tuple[str, ...], list[FolderFile]]]:
    # A remembered listing would show the folder as it was, not as it is.
    fs, root = fsspec.url_to_fs(url, use_listings_cache=False)
    root = root.rstrip("/")
    prefix = _common_prefix(first, last)
    narrowed = {"prefix": prefix} if prefix and url.split("://", 1)[0] in _LISTS_BY_PREFIX else {}
    found: list[tuple[Position, FolderFile]] = []
    for path, info in fs.find(root, detail=True, **narrowed).items():
        inside = path[len(root) + 1 :]
        folders, name = position_of(inside)
        # Some tools leave an empty object `a/` to stand for the folder itself.
        if name and info.get("type") == "file" and not any(part.startswith(".") for part in (*folders, name)):
            found.append(((folders, name), FolderFile(name, fs.unstrip_protocol(path), info)))
    found.sort(key=lambda pair: pair[0])
    for folders, pairs in groupby(found, key=lambda pair: pair[0][0]):
        yield folders, [file for _, file in pairs]


def _common_prefix(first: Position | None, last: Position | None) -> str:
    """Return a beginning that all paths between two positions share, those of other suffixes included."""
    if first is None or last is None:
        return ""
    if first[0] == last[0]:
        # Up to the first dot, as in `_name_bounds`.
        return "/".join((*first[0], "".join(_shared(first[1], last[1])).partition(".")[0]))
    return "".join(f"{name}/" for name in _shared(first[0], last[0]))


def _shared(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Return the beginning that two sequences share."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    return [item for item, _ in pairs]


def _printable(name: str) -> str:
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
