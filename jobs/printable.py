"""Text of strangers made fit for a terminal: names inside a tar, and texts of other programs, may hold its commands."""

from __future__ import annotations

import json
import re
from typing import Any

_COLOUR = re.compile("\x1b\\[[0-9;]*m")


def printable(text: str) -> str:
    """Return `text` on one line without control characters: names inside a tar may hold terminal commands."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)


def printable_lines(text: str, *, indent: str = "") -> str:
    """Return `text` with its line feeds and tabs, and each line printable behind `indent`; colours are left out."""
    lines = _COLOUR.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(indent + "\t".join(map(printable, line.split("\t"))) if line else line for line in lines)


def printable_json(facts: Any, **options: Any) -> str:
    """Return JSON of the same facts in which nothing can command a terminal, nor turn the order of what it shows.

    `json.dumps` escapes what is below a blank; it leaves DEL, C1 and the marks of direction, which some obey as well.
    """
    lines = json.dumps(facts, ensure_ascii=False, **options).split("\n")
    return "\n".join(line if line.isprintable() else "".join(map(_escaped, line)) for line in lines)


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"
