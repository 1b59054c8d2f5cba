"""Manifests as YAML text that loads to the very same values, whatever the values contain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_OFTEN_NO_TEXT = re.compile(r"[-+.0-9].*|[yYnN]")
"""What ours takes for text and others may not: kubectl's reads 1e3 and 0o7 as numbers, y and n as truth values."""


class _Plain(yaml.SafeDumper):
    """Without anchors, which readers stumble over; texts of several lines as blocks where YAML allows it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # What else breaks a line would be folded into a blank if it stood outside double quotes.
    plain = all(char == "\n" or char.isprintable() for char in value)
    style = '"' if not plain or _OFTEN_NO_TEXT.fullmatch(value) else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Plain.add_representer(str, _text)


def yaml_text(documents: Sequence[dict[str, Any]]) -> str:
    """Return the documents as one YAML stream."""
    text: str = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return text
