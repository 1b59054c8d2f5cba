"""Where in a row's own members a value is: a suffix (`txt`), or a path in a JSON member (`json:captions`).

Paths go down by keys and by position: `json:ve[0].label`; `[*]` stands for every entry of a list. They are looked up in
`meta_json`, which holds what came with the row's image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mue_model.config import ConfigError

EVERY = "*"
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]")
_OWN_NAMES = ("image_suffix", "offset", "omitted_members")
_SHOWN = 30
"""Most fields that a message lists."""
_BRIEF = 24
"""Most characters of a value in a message."""


@dataclass(frozen=True)
class RowField:
    """One place in every row."""

    text: str
    suffix: str
    steps: tuple[str | int, ...]
    """Keys and positions from the top of the member; `EVERY` stands for all entries of a list."""

    @staticmethod
    def parse(text: str, *, option: str) -> RowField:
        """Return the field that `text` names, or raise `ConfigError` naming the option it was given to."""
        suffix, colon, path = text.partition(":")
        if not suffix.strip() or "/" in text:
            raise ConfigError(f"{option} '{text}': expected a field such as json:captions or txt")
        if bool(colon) != bool(path) or (suffix.rpartition(".")[2] == "json" and not path):
            raise ConfigError(f"{option} '{text}': a JSON member needs a path, as in json:captions")
        return RowField(text, suffix, tuple(_steps(path, f"{option} '{text}'")))

    def values(self, members: dict[str, Any]) -> list[Any]:
        """Return what the row has there: one value, several for `[*]`, none where the path leads nowhere."""
        if self.suffix not in members or self.suffix in _OWN_NAMES:
            return []
        found = [members[self.suffix]]
        for step in self.steps:
            found = [inner for value in found for inner in _inside(value, step)]
        return found


def texts_of(field: RowField, members: dict[str, Any]) -> list[str]:
    """Return the texts at `field`: a list's texts one by one, a text member's lines; blank ones are left out."""
    texts: list[str] = []
    for value in field.values(members):
        if isinstance(value, str):
            texts += [value] if field.steps else value.splitlines()
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
        if suffix in _OWN_NAMES:
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


def _steps(path: str, where: str) -> Iterator[str | int]:
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (at == 0 and path[0] == "."):
            raise ConfigError(f"{where}: cannot read the path at '{path[at:]}'; paths look like a.b, a[0].b or a[*].b")
        key, position = match.groups()
        yield key if key is not None else EVERY if position == EVERY else int(position)
        at = match.end()


def _inside(value: Any, step: str | int) -> list[Any]:
    if isinstance(value, list):
        if step == EVERY:
            return value
        return [value[step]] if isinstance(step, int) and step < len(value) else []
    return [value[step]] if isinstance(value, dict) and isinstance(step, str) and step in value else []
