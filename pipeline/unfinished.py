"""Files that a killed writer left half written in a local output folder. Nobody reads or lists them; they take room."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass

from pipeline import compaction, intents, lease, metrics_file, starts
from pipeline.folders import TEMPORARY
from pipeline.local_folder import LocalFolder
from pipeline.storage import Storage

_OURS = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{32}}")
_FOLDERS = (
    "",
    "audit",
    "data",
    "done",
    compaction.FOLDER,
    "failures",
    intents.FOLDER,
    lease.FOLDER,
    metrics_file.FOLDER,
    starts.FOLDER,
)
"""Where a job writes."""


@dataclass(frozen=True, kw_only=True)
class UnfinishedWrite:
    """A file that no writer gave its name."""

    path: str
    bytes: int
    age_s: float
    """Seconds since it was last written to, by this machine's clock."""


def unfinished_writes(storage: Storage) -> list[UnfinishedWrite]:
    """Return what killed writers left, and what living ones are at, sorted by path; object stores have no such files.

    Names that no job gives are left out, whatever they begin with.
    """
    if not isinstance(storage.folder, LocalFolder):
        return []
    found = []
    for folder in _FOLDERS:
        try:
            with os.scandir(os.path.join(storage.folder.root, folder)) as entries:
                names = [entry.name for entry in entries if _OURS.fullmatch(entry.name)]
        except FileNotFoundError:
            continue
        found += [write for name in names if (write := _look_at(storage.folder.root, os.path.join(folder, name)))]
    return sorted(found, key=lambda write: write.path)


def _look_at(root: str, path: str) -> UnfinishedWrite | None:
    """None where its writer finished meanwhile."""
    try:
        facts = os.stat(os.path.join(root, path), follow_symlinks=False)
    except FileNotFoundError:
        return None
    return UnfinishedWrite(path=path, bytes=facts.st_size, age_s=time.time() - facts.st_mtime)
