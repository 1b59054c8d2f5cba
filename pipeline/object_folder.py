"""A folder in an object store, through fsspec."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import fsspec
import pyarrow as pa

from pipeline.folders import TEMPORARY


@dataclass(frozen=True)
class ObjectFolder:
    """Objects below a URL. Every object appears whole or not at all.

    `create` is exclusive where the store has conditional writes (S3, GCS). Elsewhere it looks first and then
    writes, so of two creators at the same moment the last wins; the ledger's names are deterministic and its
    `repair` resolves what both committed.
    """

    url: str

    def create(self, path: str, data: bytes) -> bool:
        """Put the object if the name is free; return whether it was."""
        for pause_s in (0.1, 0.4, 1.6, None):
            try:
                return self._create_once(path, data)
            except OSError as error:
                # Another creator is in mid-flight, and whether it succeeds is not known yet.
                if pause_s is None or _store_code(error) != "ConditionalRequestConflict":
                    raise
                time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def write(self, path: str, data: bytes) -> None:
        """Put the object."""
        self._fs.pipe_file(self._key(path), data)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        data: bytes = self._fs.cat_file(self._key(path))
        return data

    def names(self, path: str) -> list[str]:
        """Return the names of the objects directly below `path`, asking the store anew."""
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._key(path), detail=True)
        except FileNotFoundError:
            return []
        # Some tools leave an empty object `done/` to stand for the folder itself.
        names = [entry["name"].rsplit("/", 1)[-1] for entry in entries if entry["type"] == "file"]
        return [name for name in names if name and not name.startswith(TEMPORARY)]

    def size(self, path: str) -> int:
        """Return an object's size in bytes."""
        self._fs.invalidate_cache()
        facts = self._fs.info(self._key(path))
        if facts["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "not an object", path)
        return int(facts["size"])

    def delete(self, path: str) -> None:
        """Remove a file; an absent one is fine."""
        try:
            self._fs.rm_file(self._key(path))
        except FileNotFoundError:
            return

    def open_input(self, path: str) -> pa.NativeFile:
        """Open a file for random reads."""
        return pa.PythonFile(self._fs.open(self._key(path), "rb"), mode="r")

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    def _create_once(self, path: str, data: bytes) -> bool:
        try:
            self._fs.pipe_file(self._key(path), data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError):
            return self._create_if_absent(path, data)
        except OSError as error:
            if _store_code(error) in ("PreconditionFailed", "412"):
                return False
            if error.errno == errno.ENOSYS:
                return self._create_if_absent(path, data)
            raise
        return True

    def _create_if_absent(self, path: str, data: bytes) -> bool:
        if self._fs.exists(self._key(path)):
            return False
        self._fs.pipe_file(self._key(path), data)
        return True

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @cached_property
    def _fs(self) -> Any:
        # Without this a listing may be remembered: a stale one showed 1 of 50 receipts.
        return fsspec.filesystem(self.url.split("://", 1)[0], use_listings_cache=False)

    @cached_property
    def _root(self) -> str:
        return str(self._fs._strip_protocol(self.url)).rstrip("/")


def _store_code(error: BaseException | None) -> str | None:
    """The object store's own error code, where the error carries one."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        error = error.__cause__
    return None
