"""A folder of files that a job writes: whole files only, exclusive creation, errors in plain words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fsspec
import pyarrow as pa

from pipeline.errors import PipelineError
from pipeline.folders import Folder, NoHardLinks
from pipeline.local_folder import LocalFolder
from pipeline.object_folder import ObjectFolder
from pipeline.url_secrets import without_secrets


class StorageError(PipelineError):
    """A file could not be read or written. The message names it, says why, and what to do."""


class FileAbsent(StorageError):
    """The file does not exist."""


class UnusableUrl(StorageError):
    """No folder that a job can write into has this URL."""


@dataclass(frozen=True)
class Storage:
    """An output folder, addressed by relative paths; can be sent to other processes.

    A reader never sees half a file, and of several processes that create the same path exactly one wins
    (on stores without conditional writes: the last one, see `ObjectFolder`).
    """

    url: str
    folder: Folder

    @staticmethod
    def open(url: str) -> Storage:
        """Return the storage at `url`: a path, `file://` or any fsspec URL. Nothing is read or created yet."""
        protocol, separator, rest = url.partition("://")
        if not url.strip():
            raise UnusableUrl("the folder's URL is empty; give a path or a URL such as s3://bucket/run")
        try:
            without_secrets(url)
        except ValueError as error:
            raise UnusableUrl(f"the folder's URL: {error}") from None
        if not separator or protocol == "file":
            root = os.path.abspath(os.path.expanduser(rest if separator else url))
            return Storage(root, LocalFolder(root))
        if protocol == "memory":
            raise UnusableUrl(f"{url}: memory:// lives in one process and a job has several; use a local folder")
        _check_protocol(url, protocol)
        url = url.rstrip("/")
        return Storage(url, ObjectFolder(url))

    def create(self, path: str, data: bytes) -> bool:
        """Write a new file; return False, and change nothing, where the path is taken."""
        with self._explained("create", path):
            return self.folder.create(_checked(path), data)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, or replace it in one step."""
        with self._explained("write", path):
            self.folder.write(_checked(path), data)

    def read(self, path: str) -> bytes:
        """Return a file's bytes, or raise `FileAbsent`."""
        with self._explained("read", path):
            return self.folder.read(_checked(path))

    def exists(self, path: str) -> bool:
        """Return whether the file exists now."""
        try:
            self.size(path)
        except FileAbsent:
            return False
        return True

    def list(self, folder: str) -> list[str]:
        """Return the sorted paths, relative to this storage, of the files directly in `folder`.

        Always asks the store anew. Unfinished writes are left out; an absent folder is an empty one.
        """
        prefix = folder.rstrip("/")
        with self._explained("list", prefix or "."):
            names = self.folder.names(_checked(prefix) if prefix else "")
        return sorted(f"{prefix}/{name}" if prefix else name for name in names)

    def size(self, path: str) -> int:
        """Return a file's size in bytes, or raise `FileAbsent`."""
        with self._explained("look at", path):
            return self.folder.size(_checked(path))

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is fine."""
        with self._explained("delete", path):
            self.folder.delete(_checked(path))

    def open_input(self, path: str) -> pa.NativeFile:
        """Open a file for random reads, as pyarrow wants them."""
        with self._explained("open", path):
            return self.folder.open_input(_checked(path))

    @contextmanager
    def _explained(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError as error:
            if verb in ("create", "write"):
                message = "the bucket or folder above it does not exist; create it, or choose another output folder"
                raise StorageError(f"cannot {verb} {self.url}/{path}: {message}") from error
            raise FileAbsent(f"cannot {verb} {self.url}/{path}: it does not exist") from error
        except Exception as error:
            # Object stores raise their client library's own types, which have no common base.
            raise StorageError(f"cannot {verb} {self.url}/{path}: {_reason(error)}") from error


def _checked(path: str) -> str:
    """Return `path`, or raise `StorageError` if it could lie outside the folder."""
    parts = path.split("/")
    if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise StorageError(f"{path!r} is not a path inside the folder; expected names joined by '/', as in done/a.json")
    return path


def _check_protocol(url: str, protocol: str) -> None:
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise UnusableUrl(f"{url}: {error}; for s3:// install mue[s3]") from error
    except ValueError as error:
        raise UnusableUrl(f"{url}: unknown protocol '{protocol}'; use a local path, s3:// or gs://") from error


_AGAIN = "then run the same command again: finished work is kept"
_REASONS = {
    errno.ENOSPC: f"the disk is full; free some space, {_AGAIN}",
    errno.EDQUOT: f"the disk quota is used up; free some space, {_AGAIN}",
    errno.EROFS: "the file system is read-only; make it writable, or have the job write into another folder",
    errno.ENAMETOOLONG: "the name is too long for this file system; shorten the shards' or folders' names",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away, or choose another output folder",
    errno.EISDIR: "a folder stands where a file is needed; move it away, or choose another output folder",
    errno.EBUSY: f"the store is overloaded; wait a little, {_AGAIN}",
}


def _reason(error: Exception) -> str:
    """What happened, and what to do about it."""
    if isinstance(error, NoHardLinks):
        return "this file system has no hard links, which safe commits need; choose a local disk, NFS or s3://"
    if isinstance(error, PermissionError):
        return f"no permission ({error}); check the owner of the folder, or the credentials"
    if isinstance(error, NotImplementedError):
        return "this kind of URL cannot be written; choose a local folder or s3://"
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    return f"{type(error).__name__}: {error}; check that the place can be reached, {_AGAIN}"
