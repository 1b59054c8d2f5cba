"""What may be set in a job, told from the settings classes themselves: an example file and a JSON schema."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cluster.yaml_text import yaml_text
from mue_model.config_errors import alternatives
from pipeline.spec import JobSpec

_WIDTH = 100
_HEAD = """\
# A job for 'mue run -c job.yaml'. Settings that are commented out show their defaults.
# Relative paths are relative to the directory in which mue is started, not to this file.
"""
_EXAMPLES = {"inputs.urls": ["shards/{00000..00003}.tar"], "output.url": "out"}


def example_job() -> str:
    """Return a commented YAML job in which every setting is explained and only the required ones are set."""
    return _HEAD + "\n".join(_section(JobSpec, path="", off=False)) + "\n"


def job_schema() -> dict[str, Any]:
    """Return the JSON schema of a job file, for editors and other programs."""
    return JobSpec.model_json_schema()


def spec_as_yaml(spec: JobSpec) -> str:
    """Return `spec`, defaults included, as a job file that loads to the same spec."""
    return yaml_text([spec.model_dump(mode="json")])


def help_of(path: str) -> str:
    """Return the docstring of the setting `path`, as in `actors.min`."""
    current: Any = JobSpec
    *sections, name = path.split(".")
    for section in sections:
        current = current.model_fields[section].annotation
    return current.model_fields[name].description or ""


def _section(cls: type[BaseModel], *, path: str, off: bool) -> Iterator[str]:
    """Yield the lines of one section; with `off` all of them commented out."""
    indent = "  " * path.count(".")
    for name, field in cls.model_fields.items():
        inner = _section_class(field)
        here = f"{path}{name}"
        required = field.is_required()
        if not path:
            yield ""
        yield from _doc(field.description or (inspect.getdoc(inner) if inner else "") or "", indent)
        mark = "#" if off or not required else ""
        if inner and (required or isinstance(field.default, inner)):
            yield f"{indent}{mark}{name}:"
            yield from _section(inner, path=f"{here}.", off=bool(mark))
        else:
            value = _EXAMPLES.get(here, field.default)
            yield f"{indent}{mark}{name}: {_inline(value)}"
            if inner:
                yield from _doc("Or a section with these keys and defaults:", indent)
                yield from _alternative(inner, indent)


def _alternative(cls: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        yield from _doc(f"{name}: {_inline(_plain(field.default))}", indent, inset="  ")
        yield from _doc(field.description or "", indent, inset="    ")


def _section_class(field: FieldInfo) -> type[BaseModel] | None:
    """Return the settings class among the types of a field, if there is one."""
    for member in alternatives(field.annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def _doc(text: str, indent: str, inset: str = "") -> Iterator[str]:
    """Yield `text` as comment lines; the space after the mark tells them from settings that are off."""
    paragraph = " ".join(text.split("\n\n", 1)[0].split())
    for line in textwrap.wrap(paragraph, _WIDTH - len(indent)):
        yield f"{indent}# {inset}{line}"


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _inline(value: Any) -> str:
    """Return `value` as YAML on one line."""
    text: str = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()
