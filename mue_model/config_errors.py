"""Validation errors of settings in plain words: one line per wrong key, also where several types are allowed.

pydantic reports every alternative of a union on its own and puts the alternative's name into the path. Here only
the alternative that the value was meant for is kept, and a value that fits none of them gets one line.
"""

from __future__ import annotations

import difflib
import types
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mue_model.brief import brief, cut, masked

HOLDS_SECRET = "holds_secret"
"""Type of errors whose value must not be repeated."""
_WORDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false", type(None): "null"}
_PLURALS = {"a number": "numbers", "a whole number": "whole numbers", "text": "texts"}
_WRONG_KIND = ("_type", "_parsing")
_MOST_SHOWN = 20
"""Most problems that are listed: a list of wrong values has as many as it is long."""
_LONGEST_REASON = 600


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One wrong setting."""

    path: tuple[str, ...]
    """Keys from the top of the document to the wrong value."""
    text: str
    """`key = value: reason`, with the nearest valid key for an unknown one."""


def problems_of(cls: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Return one `Problem` per wrong key, in the order of the document: the first ones, and how many more there are."""
    found = list(_explain(cls, (), [(problem["loc"], problem) for problem in error.errors()]))
    more = len(found) - _MOST_SHOWN
    return found if more <= 0 else [*found[:_MOST_SHOWN], Problem(path=(), text=f"and {more:,} more wrong settings")]


def keys_of(annotation: Any) -> list[str]:
    """Return the keys of the section that `annotation` allows; none where it allows no section."""
    return sorted({key for member in alternatives(annotation) for key in getattr(member, "model_fields", {})})


def alternatives(annotation: Any) -> list[Any]:
    """Return the types that `annotation` allows, `None` left out."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for member in get_args(annotation) if member is not type(None)]
    return [annotation]


def unknown_key(key: str, known: Sequence[str], *, kind: str = "key") -> str:
    """Return the reason why `key` is refused, with the nearest of the `known` ones."""
    return f"unknown {kind}" + (_nearest(key, known) or f", known {kind}s here: {', '.join(known) or 'none'}")


def expected(annotation: Any) -> str:
    """Return what `annotation` accepts, in plain words."""
    return " or ".join(dict.fromkeys(_expected_one(member) for member in alternatives(annotation)))


def _expected_one(member: Any) -> str:
    origin, arguments = get_origin(member), get_args(member)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin in (tuple, list):
        item = expected(arguments[0])
        return f"a list of {_PLURALS.get(item, item)}"
    if keys := keys_of(member):
        return f"a section with the keys {', '.join(keys)}"
    return _WORDS.get(member, getattr(member, "__name__", str(member)))


def _explain(annotation: Any, path: tuple[str, ...], raw: Sequence[tuple[Any, Any]]) -> Iterator[Problem]:
    """Walk down the annotation and the errors' locations together; `raw` holds (location left, error)."""
    members = alternatives(annotation)
    if len(members) > 1:
        yield from _explain_union(annotation, members, path, raw)
        return
    inner: dict[Any, list[tuple[Any, Any]]] = defaultdict(list)
    for location, problem in raw:
        if location:
            inner[location[0]].append((location[1:], problem))
        else:
            yield _problem(annotation, path, problem)
    for key, problems in inner.items():
        location, problem = problems[0]
        if not location and problem["type"] == "extra_forbidden":
            yield _line((*path, str(key)), problem["input"], unknown_key(str(key), keys_of(annotation)))
        else:
            yield from _explain(_inside(members[0], key), (*path, str(key)), problems)


def _explain_union(
    annotation: Any, members: Sequence[Any], path: tuple[str, ...], raw: Sequence[tuple[Any, Any]]
) -> Iterator[Problem]:
    """Explain the one alternative whose kind the value has, or say once what is expected."""
    branches: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for location, problem in raw:
        branches[str(location[0]) if location else ""].append((location[1:], problem))
    for tag, problems in branches.items():
        if any(location or not problem["type"].endswith(_WRONG_KIND) for location, problem in problems):
            yield from _explain(max(members, key=lambda member: _fit(member, tag)), path, problems)
            return
    yield _line(path, raw[0][1]["input"], f"expected {expected(annotation)}")


def _fit(member: Any, tag: str) -> tuple[bool, bool]:
    """How well pydantic's name of an alternative (`tuple[float, ...]`, `function-after[f(), X]`) names `member`."""
    name = getattr(member, "__name__", str(member))
    return tag.startswith(name), name in tag


def _inside(annotation: Any, key: Any) -> Any:
    """Return the annotation of what `key` leads to."""
    fields = getattr(annotation, "model_fields", {})
    if key in fields:
        return fields[key].annotation
    arguments = get_args(annotation)
    return arguments[-1 if get_origin(annotation) is dict else 0] if arguments else Any


def _problem(annotation: Any, path: tuple[str, ...], problem: Any) -> Problem:
    """One validation error at the very value that is wrong."""
    if problem["type"] == "missing":
        return Problem(path=path, text=f"{_dotted(path)}: required, but not given")
    if problem["type"] == HOLDS_SECRET:
        return Problem(path=path, text=f"{_dotted(path)}: {problem['msg']}")
    if problem["type"].endswith(_WRONG_KIND):
        return _line(path, problem["input"], f"expected {expected(annotation)}")
    if problem["type"] == "literal_error":
        given, known = problem["input"], [str(value) for value in get_args(annotation)]
        near = _nearest(given, known) if isinstance(given, str) else ""
        return _line(path, given, f"expected {expected(annotation)}{near}")
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):
        # A check across the keys of a section: its message names the keys itself.
        return Problem(path=path, text=cut(problem["msg"].removeprefix("Value error, "), _LONGEST_REASON))
    reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return _line(path, problem["input"], reason)


def _line(path: tuple[str, ...], value: Any, reason: str) -> Problem:
    where = _dotted(path) or "(whole document)"
    return Problem(path=path, text=f"{where} = {brief(value)}: {cut(reason, _LONGEST_REASON)}")


def _dotted(path: Sequence[str]) -> str:
    """Return a path as it is typed; a key may be anything, megabytes too."""
    return ".".join(cut(masked(key)) for key in path)


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else ""
