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
OWN_NAMES = ("image_suffix", "offset", "omitted_members")
"""Names in `meta_json` that are no members of the row."""
_STEP = re.compile(r"\.?(?!\*(?:[.\[]|$))([^.\[\]]+)|\[(\d+|\*)\]")
_KINDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", dict: "an object", list: "a list"}
_NAMES_SHOWN = 8
_BRIEF = 40
"""Most characters of a name in a message."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a row has at a field: a value, or in `problem` why there is none."""

    index: tuple[int, ...]
    """The position taken at each `[*]` that was passed."""
    value: Any = None
    problem: str | None = None


@dataclass(frozen=True)
class RowField:
    """One place in every row."""

    text: str
    suffix: str
    steps: tuple[str | int, ...]
    """Keys and positions from the top of the member; `EVERY` stands for all entries of a list."""

    @staticmethod
    def parse(text: str, *, option: str | None = None) -> RowField:
        """Return the field that `text` names.

        Raises:
            ConfigError: It names none; the message has the nearest form that does. With `option` it also says where
                the text was given.
        """
        try:
            return _parsed(text)
        except ValueError as error:
            where = "" if option is None else f"{option} '{text}': "
            raise ConfigError(f"{where}{error}{_nearest(text)}") from error

    @property
    def several(self) -> bool:
        """Whether a row may have several values there."""
        return EVERY in self.steps

    def entries(self, members: dict[str, Any]) -> list[Entry]:
        """Return one entry for each place that the path leads to, in order; a path that breaks off is an entry too.

        Only an empty list at a `[*]` gives no entry.
        """
        if self.suffix not in members or self.suffix in OWN_NAMES:
            names = [name for name in members if name not in OWN_NAMES]
            return [Entry((), problem=f"the row has no member '{self.suffix}'{_only(names)}")]
        member = members[self.suffix]
        if isinstance(member, dict) and member.keys() == {"omitted_bytes"}:
            problem = f"the member '{self.suffix}' was too large to come along: {member['omitted_bytes']:,} bytes"
            return [Entry((), problem=problem)]
        if self.steps and isinstance(member, str):
            return [Entry((), problem=f"the member '{self.suffix}' is a text, or JSON that is broken or too deep")]
        return list(_descend(member, self.steps, "", ()))

    def values(self, members: dict[str, Any]) -> list[Any]:
        """Return what the row has there: one value, several for `[*]`, none where the path leads nowhere."""
        return [entry.value for entry in self.entries(members) if entry.problem is None]


def kind_of(value: Any) -> str:
    """Return in words what a JSON value is."""
    return _KINDS.get(type(value), "null")


def _parsed(text: str) -> RowField:
    suffix, colon, path = text.partition(":")
    if not suffix.strip() or suffix != suffix.strip(" .") or set(suffix) & set("[]*$") or "/" in text:
        raise ValueError("expected a field such as json:captions or txt")
    if bool(colon) != bool(path) or (suffix.rpartition(".")[2] == "json" and not path):
        raise ValueError("a JSON member needs a path, as in json:captions")
    return RowField(text, suffix, tuple(_steps(path)))


def _steps(path: str) -> Iterator[str | int]:
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (at == 0 and path[0] == "."):
            raise ValueError(f"cannot read the path at '{path[at:]}'; paths look like a.b, a[0].b or a[*].b")
        key, position = match.groups()
        yield key if key is not None else EVERY if position == EVERY else int(position)
        at = match.end()


def _nearest(text: str) -> str:
    """Return in words the field that was probably meant: other notations for paths, brackets left open."""
    guess = text.strip().replace("/", ".").removeprefix("$").strip(". ")
    guess = re.sub(r"\[\s*\]|\.?\[\*\]|\.\*(?=\.|$)", "[*]", guess)
    guess = re.sub(r"\[(\d+|\*)(?=\.|$)", r"[\1]", guess)
    guess = re.sub(r"\.{2,}", ".", guess).replace(":.", ":").removesuffix(":")
    if guess.startswith("json."):
        guess = guess.replace("json.", "json:", 1)
    if ":" not in guess and "[" in guess:
        guess = f"json:{guess}"
    try:
        return f", did you mean '{guess}'?" if _parsed(guess).text != text else ""
    except ValueError:
        return ""


def _descend(value: Any, steps: tuple[str | int, ...], at: str, index: tuple[int, ...]) -> Iterator[Entry]:
    if not steps:
        yield Entry(index, value)
        return
    step, rest = steps[0], steps[1:]
    if step == EVERY and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _descend(inner, rest, f"{at}[{number}]", (*index, number))
    elif isinstance(step, int) and isinstance(value, list) and step < len(value):
        yield from _descend(value[step], rest, f"{at}[{step}]", index)
    elif isinstance(step, str) and isinstance(value, dict) and step in value:
        yield from _descend(value[step], rest, f"{at}.{step}".lstrip("."), index)
    else:
        yield Entry(index, problem=_why_not(value, step, at or "the member"))


def _why_not(value: Any, step: str | int, at: str) -> str:
    at = at[-4 * _BRIEF :]
    if step != EVERY and isinstance(step, str):
        if isinstance(value, dict):
            return f"{at} has no '{step[:_BRIEF]}'{_only(list(value))}"
        return f"{at} is {kind_of(value)}, not an object with '{step[:_BRIEF]}'"
    if isinstance(value, list):
        return f"{at} has {len(value):,} entries, none at [{step}]"
    return f"{at} is {kind_of(value)}, not a list"


def _only(names: list[str]) -> str:
    shown = ", ".join(name[:_BRIEF] for name in names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f", only {shown}" if names else ""
