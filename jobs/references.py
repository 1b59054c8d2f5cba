"""Where the reference captions of a row come from: the row's own members, or a file that names rows.

Joined by uid or key, never by position. A key that several images share does not say which of them is meant.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

import fsspec

from jobs.gold import Gold
from jobs.row_texts import texts_in, texts_of
from mue_model.config import ConfigError
from mue_model.config_errors import unknown_key
from pipeline.identity import parse_uid
from pipeline.plan import Plan
from pipeline.row_field import RowField

DEFAULT = "json:references;json:captions"
"""What `mue corpus` writes, then what COCO's captions are usually called."""
_FILE_SUFFIX = ".jsonl"
_KEYS = ("uid", "key", "references")
_EXAMPLE = '{"key": "000000000285", "references": ["a bear on grass", "a brown bear"]}'


class AmbiguousKey(Exception):
    """The references name a row by a key that several images have."""


class References(Protocol):
    """Reference captions, row by row."""

    source: str
    """As on the command line."""

    def of(self, uid: str, key: str | None, members: dict[str, Any]) -> Sequence[str]:
        """Return the row's references, none where it has none; raise `AmbiguousKey` rather than guess."""

    def facts(self) -> dict[str, Any]:
        """Return what is known about them, ready for JSON."""

    def missing(self) -> str:
        """Return what was looked for, for a message that nothing was found."""


def open_references(text: str, repeated_keys: Collection[str]) -> References:
    """Return the references that `text` names: a `.jsonl` file, or fields as in `json:captions;txt`."""
    if text.endswith(_FILE_SUFFIX):
        return FileReferences(text, repeated_keys)
    if text.endswith((".json", ".csv", ".tsv", ".parquet", ".txt")):
        raise ConfigError(f"--references '{text}': a file of references is JSON Lines named *.jsonl: {_EXAMPLE}")
    return field_references(text)


def planned_references(plan: Plan, repeated_keys: Collection[str]) -> References:
    """Return the references where a job of captions says they are, else where they mostly are."""
    label, asked = plan.fields.references, plan.fields.asked("caption")
    if label is not None and asked is not None:
        return AlignedReferences(Gold(RowField.parse(label, option="inputs.fields.references"), asked))
    return open_references(label or DEFAULT, repeated_keys)


def field_references(text: str) -> FieldReferences:
    """Return the references at fields of the row, as in `json:captions;txt`."""
    return FieldReferences([RowField.parse(part.strip(), option="--references") for part in text.split(";")])


class FieldReferences:
    """References that came with the row's image: at the first of several fields that has any."""

    def __init__(self, fields: Sequence[RowField]) -> None:
        self.source = ";".join(field.text for field in fields)
        self._fields = fields
        self._rows: Counter[str] = Counter()

    def of(self, uid: str, key: str | None, members: dict[str, Any]) -> Sequence[str]:
        """Return the texts at the first field that has any."""
        for field in self._fields:
            if texts := texts_of(field, members):
                self._rows[field.text] += 1
                return texts
        return ()

    def facts(self) -> dict[str, Any]:
        """Return the source, and how many rows each field was used for."""
        return {"source": self.source, "rows_by_field": dict(self._rows)}

    def missing(self) -> str:
        """Return what was looked for."""
        return f"no row has a text or a list of texts at {' or '.join(repr(field.text) for field in self._fields)}"


class AlignedReferences:
    """References of an image that has a prompt of its own at each entry of a list: those at the same entry."""

    def __init__(self, gold: Gold) -> None:
        self.source = gold.label.text
        self._gold = gold
        self._rows = 0

    def of(self, uid: str, key: str | None, members: dict[str, Any]) -> Sequence[str]:
        """Return the texts that belong to the row's query."""
        texts = texts_in(self._gold.of(members, parse_uid(uid).query))
        self._rows += bool(texts)
        return texts

    def facts(self) -> dict[str, Any]:
        """Return the source, and how many rows it was used for."""
        return {"source": self.source, "rows_by_field": {self.source: self._rows}}

    def missing(self) -> str:
        """Return what was looked for."""
        return f"no row has a text or a list of texts at '{self.source}' for its prompt"


class FileReferences:
    """References of a JSON Lines file, held in memory; a row named by several lines has the texts of all of them."""

    def __init__(self, url: str, repeated_keys: Collection[str]) -> None:
        self.source = url
        self._repeated_keys = repeated_keys
        self._by_name: dict[str, dict[str, list[str]]] = {"uid": {}, "key": {}}
        self._used: set[tuple[str, str]] = set()
        self._lines = 0
        self._digest = hashlib.sha256()
        for number, line in enumerate(_lines(url), start=1):
            self._digest.update(line)
            if line.strip():
                self._add(line, f"{url}, line {number}")
                self._lines += 1

    def of(self, uid: str, key: str | None, members: dict[str, Any]) -> Sequence[str]:
        """Return the texts under the row's uid, else those under its key."""
        if uid in self._by_name["uid"]:
            self._used.add(("uid", uid))
            return self._by_name["uid"][uid]
        if key is None or key not in self._by_name["key"]:
            return ()
        self._used.add(("key", key))
        if key in self._repeated_keys:
            raise AmbiguousKey(key)
        return self._by_name["key"][key]

    def facts(self) -> dict[str, Any]:
        """Return the source, its digest, and how many of its names were of no use."""
        names = sum(len(texts) for texts in self._by_name.values())
        return {
            "source": self.source,
            "file_sha256": self._digest.hexdigest(),
            "lines": self._lines,
            "names": names,
            "names_without_row": names - len(self._used),
        }

    def missing(self) -> str:
        """Return what was looked for."""
        uids, keys = len(self._by_name["uid"]), len(self._by_name["key"])
        name = next((name for texts in self._by_name.values() for name in texts), None)
        example = f", the first is '{name}'" if name is not None else ""
        return f"no row has one of the {uids:,} uids and {keys:,} keys of {self.source}{example}"

    def _add(self, line: bytes, where: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{where}: not JSON ({error}); a line looks like {_EXAMPLE}") from error
        if not isinstance(entry, dict):
            raise ConfigError(f"{where}: not a JSON object; a line looks like {_EXAMPLE}")
        if unknown := [key for key in entry if key not in _KEYS]:
            raise ConfigError(f"{where}: '{unknown[0]}': {unknown_key(unknown[0], _KEYS)}")
        texts = entry.get("references")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{where}: 'references' must be a text or a list of texts, as in {_EXAMPLE}")
        kind = "uid" if "uid" in entry else "key"
        name = entry.get(kind)
        if not isinstance(name, str):
            raise ConfigError(f"{where}: needs a 'uid' or a 'key', a text, as in {_EXAMPLE}")
        self._by_name[kind].setdefault(name, []).extend(text for text in texts if text.strip())


def _lines(url: str) -> Iterator[bytes]:
    try:
        with fsspec.open(url, "rb") as file:
            yield from file
    except (OSError, ImportError, ValueError) as error:
        raise ConfigError(f"--references '{url}': cannot be read ({error})") from error
