"""When the files of an output folder were written, by the store's own clock."""

from __future__ import annotations

import datetime
from typing import Any

import fsspec

from pipeline.ledger import Ledger


def file_times(ledger: Ledger, folder: str) -> dict[str, datetime.datetime]:
    """Return when each finished file directly in `folder` was written, by path; a fresh listing."""
    fs, root = fsspec.url_to_fs(ledger.storage.url, use_listings_cache=False)
    try:
        entries = fs.ls(f"{root}/{folder}", detail=True)
    except FileNotFoundError:
        return {}
    found = {}
    for entry in entries:
        name, stamp = entry["name"].rsplit("/", 1)[-1], _stamp(entry)
        if entry["type"] == "file" and stamp is not None and name and not name.startswith("."):
            found[f"{folder}/{name}"] = stamp
    return found


def _stamp(entry: dict[str, Any]) -> datetime.datetime | None:
    """Modification time of a listed file; stores name it differently."""
    value = next((entry[key] for key in ("mtime", "LastModified", "updated", "last_modified") if entry.get(key)), None)
    if isinstance(value, (int, float)):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return value if isinstance(value, datetime.datetime) else None
