"""An output folder as it was when a manifest of before was written: the files which that names, and no others."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import pyarrow as pa

from jobs.job_folder import RUN
from jobs.run_record import run_document
from jobs.verify_folder import Folder as VerifiedFolder
from mue_model.config import ConfigError
from pipeline.canonical_json import digest_of
from pipeline.folders import Folder
from pipeline.ledger import MANIFEST, Ledger
from pipeline.manifest import Manifest
from pipeline.publish import receipt_path
from pipeline.receipts import Receipt
from pipeline.storage import FileAbsent, Storage

THEN = "report/manifest.json"
"""The manifest that a report was made from."""


class NoEarlierState(ValueError):
    """Nothing in the folder shows that it ever was in the state that is claimed. The message says what is lacking."""


def earlier_state(folder: VerifiedFolder, claimed: str | None) -> Ledger:
    """Return the ledger of the folder as it was under the manifest with the digest `claimed`; it can only be read.

    Parts, receipts, audits and what processes wrote down stay where they are whatever comes later, and run.json only
    grows. That they are what the manifest says is for the reader to test.

    Raises:
        NoEarlierState: There is no such manifest.
    """
    if claimed is None:
        raise NoEarlierState("it was made before the job was finished, and nothing shows what there was then")
    try:
        data = folder.ledger.storage.read(THEN)
    except FileAbsent as error:
        raise NoEarlierState(f"there is no {THEN}, which would show what there was then") from error
    if digest_of(data) != claimed:
        raise NoEarlierState(f"{THEN}, which should show what there was then, has SHA-256 {digest_of(data)}")
    try:
        manifest = Manifest.from_json(data, where=THEN)
    except ConfigError as error:
        raise NoEarlierState(str(error)) from error
    kept = {receipt_path(receipt.id): receipt.to_json() for receipt in folder.receipts or ()}
    written = {path: kept[path] for path in manifest.files if path in kept}  # they may be in a compact file by now
    written |= {MANIFEST: data} | _run_record(folder, manifest)
    storage = folder.ledger.storage
    named = {*manifest.files, *(part.path for part in manifest.parts)}
    named |= {receipt.part.path for receipt in _receipts(storage, named, written) if receipt.part is not None}
    return _ledger(storage, named, written)


def _receipts(storage: Storage, named: set[str], written: Mapping[str, bytes]) -> list[Receipt]:
    return _ledger(storage, named, written).receipts()


def _ledger(storage: Storage, named: set[str], written: Mapping[str, bytes]) -> Ledger:
    return Ledger(Storage(storage.url, _FolderThen(storage.folder, frozenset(named), written)))


def _run_record(folder: VerifiedFolder, manifest: Manifest) -> dict[str, bytes]:
    """Return run.json as it was after one of its attempts, or nothing where it never had the manifest's digest."""
    wanted = manifest.files.get(RUN)
    for number in range(1, len(folder.attempts) + 1):
        data = run_document(folder.attempts[:number])
        if wanted is not None and digest_of(data) == wanted.sha256:
            return {RUN: data}
    return {}


@dataclass(frozen=True)
class _FolderThen:
    """Shows only some files of a folder, and some as they were."""

    now: Folder
    named: frozenset[str]
    written: Mapping[str, bytes] = field(default_factory=dict)

    def create(self, path: str, data: bytes) -> bool:
        """Refuse."""
        _refuse(path)

    def write(self, path: str, data: bytes) -> None:
        """Refuse."""
        _refuse(path)

    def delete(self, path: str) -> None:
        """Refuse."""
        _refuse(path)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        return self.written[path] if path in self.written else self.now.read(self._shown(path))

    def names(self, path: str) -> list[str]:
        """Return the names of the files directly in `path`."""
        there = {f"{path}/{name}" if path else name for name in self.now.names(path)}
        shown = {*self.written, *(self.named & there)}
        return [os.path.basename(name) for name in shown if os.path.dirname(name) == path]

    def size(self, path: str) -> int:
        """Return a file's size in bytes."""
        return len(self.written[path]) if path in self.written else self.now.size(self._shown(path))

    def open_input(self, path: str) -> pa.NativeFile:
        """Open a file for random reads."""
        return pa.BufferReader(self.written[path]) if path in self.written else self.now.open_input(self._shown(path))

    def _shown(self, path: str) -> str:
        if path not in self.named:
            raise FileNotFoundError(errno.ENOENT, "not there at that time", path)
        return path


def _refuse(path: str) -> NoReturn:
    raise OSError(errno.EROFS, "the past cannot be written", path)
