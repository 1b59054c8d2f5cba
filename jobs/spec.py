"""A `JobSpec` out of a YAML file and a command line; the later wins. Imports neither torch nor ray.

Every error is a `ConfigError` that says where the wrong setting was given, its key, its value, the reason and the
nearest valid key. Relative paths in a file are relative to the current directory, as on the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from mue_model.brief import brief, cut, masked
from mue_model.config import ConfigError
from mue_model.config_errors import Problem, problems_of
from mue_model.regular_file import open_given, read_bounded
from pipeline.spec import JobSpec

COMMAND_LINE = "command line"
MOST_BYTES = 8 << 20
"""Largest file of settings: reading YAML takes some 150 times its size of memory."""
_LONGEST_REASON = 300


def load_spec(path: str | None, *, inputs: Sequence[str], output: str | None, overrides: Sequence[str]) -> JobSpec:
    """Return the valid job of the file `path`, replaced in part by the command line.

    Args:
        path: A YAML file, or None for a job given on the command line alone.
        inputs: Shards; they replace `inputs.urls` of the file.
        output: Output folder; it replaces `output.url` of the file.
        overrides: `a.b=value` settings, the value read as YAML; they win over all else.

    Raises:
        ConfigError: On anything wrong, all wrong keys in one message.
    """
    document = {} if path is None else read_document(path)
    given: list[tuple[tuple[str, ...], Any]] = []
    if inputs:
        given.append((("inputs", "urls"), list(inputs)))
    if output is not None:
        given.append((("output", "url"), output))
    given += [parse_override(text) for text in overrides]
    for keys, value in given:
        document = with_setting(document, keys, value, where=path or COMMAND_LINE)
    try:
        return JobSpec.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{_where(problem, path, [keys for keys, _ in given])}: {_with_remedy(problem)}"
            for problem in problems_of(JobSpec, error)
        ]
        raise ConfigError("; ".join(lines)) from error


def read_document(path: str) -> dict[str, Any]:
    """Return the mapping in the YAML file `path`; empty files give an empty one. Refuses duplicate keys.

    A file is a local and regular one, or what a shell hands over (`/dev/stdin`, `<(...)`), and not larger than
    `MOST_BYTES`: a named pipe would be waited for, and `/dev/zero` has no end.
    """
    if "://" in path:
        raise ConfigError(f"{brief(path)}: only local files can be read; copy it here, or hand it over as /dev/stdin")
    try:
        text = read_bounded(path, most_bytes=MOST_BYTES, opened=open_given).decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; 'mue config init > {path}' writes an example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from error
    try:
        document = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: {_reason(error)}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds a {type(document).__name__}; expected sections such as 'inputs:', 'output:'")
    return document


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error instead of the last one winning silently."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Composed once and before merge keys are filled in, so that a merged key may be given anew.
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    what = f"the key '{cut(masked(key.value))}' is given twice; keep one"
                    raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
                seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # What looks like a date or has a tag is converted unchecked, as in 2020-99-99 or !!int x.
            what = (
                f"{str(node.value)[:80]!r} is no {cut(node.tag.rpartition(':')[2])}; put it in quotes if it is a text"
            )
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error


def _reason(error: yaml.YAMLError | RecursionError) -> str:
    """What is wrong with the YAML, on one line, with the line number where there is one."""
    if isinstance(error, RecursionError):
        return "brackets are nested too deeply"
    mark = getattr(error, "problem_mark", None)
    problem = cut(getattr(error, "problem", None) or " ".join(str(error).split()), _LONGEST_REASON)
    return f"line {mark.line + 1}: {problem}" if mark is not None else problem


def parse_override(
    text: str, *, option: str = "--set", example: str = "exits.image=0.9"
) -> tuple[tuple[str, ...], Any]:
    """Split `a.b=value` into its keys and its YAML value; `option` is what it was given by."""
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        raise ConfigError(f"{option} {brief(text)}: expected key=value, as in {option} {example}")
    try:
        return keys, yaml.load(value, Loader=_StrictLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{option} {brief(text)}: the value is not valid YAML: {_reason(error)}") from error


def with_setting(
    document: dict[str, Any], keys: tuple[str, ...], value: Any, *, where: str, above: str = ""
) -> dict[str, Any]:
    """Return `document` with one setting replaced; nothing that `document` shares is changed."""
    head, *rest = keys
    if not rest:
        return {**document, head: value}
    inner = document.get(head)
    if inner is not None and not isinstance(inner, dict):
        raise ConfigError(
            f"{where}: {above}{head} is {brief(inner)}, a single value: {rest[0]} cannot be set inside it; "
            f"set it as a whole, as in --set '{above}{head}={{{rest[0]}: ...}}'"
        )
    return {**document, head: with_setting(inner or {}, tuple(rest), value, where=where, above=f"{above}{head}.")}


def _where(problem: Problem, path: str | None, given: Sequence[tuple[str, ...]]) -> str:
    """Name the place where the wrong setting was given: the file, or the command line if it had a part in it."""
    on_command_line = any(
        all(a == b for a, b in zip(keys, problem.path, strict=False)) for keys in given if problem.path
    )
    return path if path is not None and not on_command_line else COMMAND_LINE


def _with_remedy(problem: Problem) -> str:
    """Say how the two settings without a default are given."""
    match problem.path:
        case ("inputs",) | ("inputs", "urls") if problem.text.endswith("not given"):
            return "no input given; name shards, as in mue run 'shards/{00000..00003}.tar', or set inputs.urls"
        case ("output",) | ("output", "url") if problem.text.endswith("not given"):
            return "no output folder given; add --output OUT, or set output.url"
    return problem.text
