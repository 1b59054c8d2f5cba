"""Gathers what a row has beside its image into one bounded string of valid JSON: `meta_json`.

Of tars and folders that is the row's other members, of Parquet its other columns.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable

META_LIMIT_BYTES = 64 << 10
"""Most bytes of the values and suffixes in one row's `meta_json`."""
MAX_NESTING = 100
"""Most lists and objects inside one another in a JSON member; a deeper one is kept as text. Python parses as deep as
the stack has room, so that without a bound what the reader took would raise where it is parsed again."""

_TEXT_SUFFIXES = frozenset({"txt", "json"})
_RESERVED = ("image_suffix", "offset", "omitted_members")
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0e-\x1f\x7f]")


class Passthrough:
    """The passthrough fields of one row: JSON as values, text as strings, of anything else its size.

    A value for which there is no room becomes {"omitted_bytes": n}; where there is no room for that either, members
    are counted in `omitted_members`. A suffix that equals one of our own names gets a dot before it.
    """

    def __init__(self, limit_bytes: int = META_LIMIT_BYTES) -> None:
        self._left = limit_bytes
        self._fields: dict[str, str] = {}
        self._omitted = 0

    def add(self, suffix: str, data: bytes) -> None:
        """Add a member that was read."""
        if len(data) > self._left or not self._put(suffix, _to_json(suffix, data)):
            self.add_omitted(suffix, len(data))

    def add_value(self, name: str, value: object) -> None:
        """Add a value of a table's column."""
        encoded = json.dumps(_jsonable(value), ensure_ascii=False, allow_nan=False)
        if not self._put(_as_utf8(name), _as_utf8(encoded)):
            self.add_omitted(name, len(encoded.encode("utf-8", "surrogatepass")))

    def add_image(self, suffix: str, n_bytes: int) -> None:
        """Add an image that was not chosen as the row's image."""
        self._put_or_count(suffix, {"bytes": n_bytes})

    def add_omitted(self, suffix: str, n_bytes: int) -> None:
        """Add a member whose data is not at hand."""
        self._put_or_count(suffix, {"omitted_bytes": n_bytes})

    def to_json(self, image_suffix: str | None, offset: int) -> str:
        """Return the row's `meta_json`."""
        fields = {"image_suffix": json.dumps(image_suffix, ensure_ascii=False), "offset": str(offset), **self._fields}
        if self._omitted:
            fields["omitted_members"] = str(self._omitted)
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {v}" for k, v in fields.items()) + "}"

    def _put_or_count(self, suffix: str, value: dict[str, int]) -> None:
        if not self._put(suffix, json.dumps(value)):
            self._omitted += 1

    def _put(self, suffix: str, value: str) -> bool:
        name = suffix
        while name in _RESERVED or name in self._fields:
            name = "." + name
        n_bytes = len(name.encode()) + len(value.encode())
        if n_bytes > self._left:
            return False
        self._left -= n_bytes
        self._fields[name] = value
        return True


def _to_json(suffix: str, data: bytes) -> str:
    kind = suffix.rpartition(".")[2]
    if kind in _TEXT_SUFFIXES:
        text = data.decode("utf-8-sig", "backslashreplace")
        parsed = _reencoded(text) if kind == "json" else None
        return json.dumps(text, ensure_ascii=False) if parsed is None else parsed
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return json.dumps({"bytes": len(data)})
    if _CONTROL_CHARACTER.search(text):
        return json.dumps({"bytes": len(data)})
    return json.dumps(text, ensure_ascii=False)


def _jsonable(value: object) -> object:
    """Return the value as strict JSON has it: bytes as their size; dates, decimals and what else there is as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, dict):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)


def _as_utf8(text: str) -> str:
    """Return the text with halves of surrogate pairs, which UTF-8 cannot hold, replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _reencoded(text: str) -> str | None:
    """Return the JSON document as strict JSON (NaN and infinities as strings), or None if it cannot be parsed."""
    try:
        value = json.loads(text, parse_constant=str, parse_float=_finite_or_text)
        if _nesting_exceeds(value, MAX_NESTING):
            return None
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    # JSON may escape half of a surrogate pair.
    return _as_utf8(encoded)


def _nesting_exceeds(value: object, most: int) -> bool:
    """Return whether more than `most` lists and objects lie inside one another."""
    level = [value]
    for _ in range(most):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(inner, (list, dict)) for inner in level)


def _inside(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _finite_or_text(number: str) -> float | str:
    value = float(number)
    return value if math.isfinite(value) else number
