"""The token by which a store tells one version of a file from another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_KEYS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "Last-Modified", "LastModified", "mtime")


def local_version(facts: os.stat_result) -> str:
    """Return the version of a local file: its modification time and size."""
    return f"{facts.st_mtime_ns}-{facts.st_size}"


def stored_version(facts: Mapping[str, Any]) -> str:
    """Return the version of an object from what fsspec's `info` says about it; its size where that is all it says."""
    return next((str(facts[key]).strip('"') for key in _KEYS if facts.get(key)), f"size-{facts.get('size')}")
