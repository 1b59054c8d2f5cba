"""The texts that a row has at a field, and in words what fields it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.row_field import OWN_NAMES, RowField

_SHOWN = 30
"""Most fields that a message lists."""
_BRIEF = 24
"""Most characters of a value in a message."""


def texts_of(field: RowField, members: dict[str, Any]) -> list[str]:
    """Return the texts at `field`: a list's texts one by one, a text member's lines; blank ones are left out."""
    return texts_in(field.values(members), lines=not field.steps)


def texts_in(values: list[Any], *, lines: bool = False) -> list[str]:
    """Return the texts among `values` and in lists among them, or with `lines` their lines; blank ones are left out."""
    texts: list[str] = []
    for value in values:
        if isinstance(value, str):
            texts += value.splitlines() if lines else [value]
        elif isinstance(value, list):
            texts += [entry for entry in value if isinstance(entry, str)]
    return [text for text in texts if text.strip()]


def described(members: dict[str, Any]) -> str:
    """Return the fields of a row, by the names they have on the command line, for a message."""
    # Lists of texts come first: they are what references mostly are.
    shown = sorted(_described(members), key=lambda field: not field.endswith(" texts]"))
    more = f", and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return (", ".join(shown[:_SHOWN]) + more) if shown else "none: the shards hold images alone"


def _described(members: dict[str, Any]) -> Iterator[str]:
    for suffix, value in members.items():
        if suffix in OWN_NAMES:
            continue
        if isinstance(value, dict) and set(value) == {"omitted_bytes"}:
            yield f"{suffix} (left out of the row: {value['omitted_bytes']:,} bytes)"
        elif isinstance(value, dict):
            yield from (f"{suffix}:{key} = {_brief(inner)}" for key, inner in value.items())
        else:
            yield f"{suffix} = {_brief(value)}"


def _brief(value: Any) -> str:
    if isinstance(value, list):
        kind = "texts" if value and all(isinstance(entry, str) for entry in value) else "entries"
        return f"[{len(value)} {kind}]"
    shown = repr(value)
    return shown if len(shown) <= _BRIEF else shown[: _BRIEF - 3] + "..."
