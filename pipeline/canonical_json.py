"""One spelling of a JSON value: equal values give equal bytes, whoever writes them."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any, *, indent: int | None = None) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and a newline at the end; NaN and infinity are errors."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return (text + "\n").encode()


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
