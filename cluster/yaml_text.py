"""Manifests as YAML text that loads to the very same values, whatever the values contain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    """Without anchors, which readers stumble over; texts of several lines as blocks where YAML allows it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # What else breaks a line would be folded into a blank if it stood outside double quotes.
    plain = all(char == "\n" or char.isprintable() for char in value)
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style=("|" if "\n" in value else None) if plain else '"'
    )


_Plain.add_representer(str, _text)


def yaml_text(documents: Sequence[dict[str, Any]]) -> str:
    """Return the documents as one YAML stream."""
    text: str = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return text
