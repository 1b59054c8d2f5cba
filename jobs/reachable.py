"""Which paths of a job lie on one machine only, told from their names: what a job on other machines cannot open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mue_model.model_names import DEMO_NAME
from mue_model.seeded import SEEDED_NAME
from pipeline.spec import JobSpec

_LOCAL_SCHEMES = ("file", "local")


@dataclass(frozen=True, kw_only=True)
class LocalPath:
    """A setting that names a place on a file system."""

    key: str
    path: str


def local_paths(spec: JobSpec) -> list[LocalPath]:
    """Return the output, inputs and model that are paths and no URLs; models that ship are neither."""
    found = [LocalPath(key="output.url", path=_plain(spec.output.url))] if _is_local(spec.output.url) else []
    found += [LocalPath(key="inputs.urls", path=_plain(url)) for url in spec.inputs.urls if _is_local(url)]
    if spec.model not in (DEMO_NAME, SEEDED_NAME) and _is_local(spec.model):
        found.append(LocalPath(key="model", path=_plain(spec.model)))
    return found


def lies_under(path: str, folder: str) -> bool:
    """Return whether `path` names a place under `folder`, links left aside."""
    parts = PurePosixPath(path).parts
    return ".." not in parts and parts[: len(PurePosixPath(folder).parts)] == PurePosixPath(folder).parts


def named(paths: Sequence[LocalPath]) -> str:
    """Return the first few of them for a message."""
    shown = ", ".join(f"{path.key} = {path.path}" for path in paths[:3])
    return shown + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")


def _is_local(url: str) -> bool:
    """Whether fsspec would look for it on this machine: in `zip://a.tar::file:///b.zip` the last link says where."""
    scheme, separator, _ = _last_link(url).partition("://")
    return not separator or scheme.lower() in _LOCAL_SCHEMES


def _plain(url: str) -> str:
    return _last_link(url).rpartition("://")[2]


def _last_link(url: str) -> str:
    """Of a chain; in a plain path two colons mean nothing."""
    return url.rpartition("::")[2] if "://" in url else url
