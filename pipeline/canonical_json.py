"""JSON documents: equal values give equal bytes, and what is wrong with one is said with its name."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mue_model.config import ConfigError, ConfigT, parse_config


def canonical_json(value: Any, *, indent: int | None = None) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and a newline at the end; NaN and infinity are errors."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return (text + "\n").encode()


def parse_json(cls: type[ConfigT], data: bytes, *, where: str) -> ConfigT:
    """Return the document in `data`, or raise `ConfigError` saying what is wrong in `where`."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON ({error})") from error
    return parse_config(cls, value, where=where)


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
