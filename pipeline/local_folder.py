"""A folder on a local disk or a network mount."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.folders import TEMPORARY, NoHardLinks


@dataclass(frozen=True)
class LocalFolder:
    """Files on a local disk or a network mount. A killed writer leaves at most a temporary file."""

    root: str

    def create(self, path: str, data: bytes) -> bool:
        """Link the finished file under its name; return whether the name was free."""
        target, temporary = self._write_temporary(path, data)
        try:
            new = _link(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return new

    def write(self, path: str, data: bytes) -> None:
        """Move the finished file over its name."""
        target, temporary = self._write_temporary(path, data)
        try:
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        return Path(self.root, path).read_bytes()

    def names(self, path: str) -> list[str]:
        """Return the names of the files directly in `path`."""
        try:
            with os.scandir(Path(self.root, path)) as entries:
                return [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(TEMPORARY)]
        except FileNotFoundError:
            return []

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        file = Path(self.root, path)
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a file", str(file))
        return facts.st_size

    def delete(self, path: str) -> None:
        """Remove a file; an absent one is fine."""
        Path(self.root, path).unlink(missing_ok=True)

    def open_input(self, path: str) -> pa.NativeFile:
        """Open a file for random reads."""
        return pa.OSFile(os.path.join(self.root, path), "rb")

    def _write_temporary(self, path: str, data: bytes) -> tuple[Path, Path]:
        """Return the target and a temporary file beside it that holds `data` and has reached the disk."""
        target = Path(self.root, path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            # Not to be taken for the target's own name being taken.
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", error.filename) from error
        temporary = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return target, temporary


def _link(temporary: Path, target: Path) -> bool:
    """Give the finished file its name unless the name is taken; return whether it got it."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        # NFS may repeat a request whose answer was lost: two names mean that the first one succeeded.
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise NoHardLinks(error.errno, "no hard links on this file system") from error
        raise
    return True


def _sync_folder(folder: Path) -> None:
    """Make the folder's new name survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network mounts refuse to sync a folder; the file itself is already safe there.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
