"""From what a user types to one URL per shard, in the order given."""

from __future__ import annotations

import glob
import os
import re

import fsspec

from pipeline.errors import PipelineError
from pipeline.identity import is_local

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"^(\d+)\.\.(\d+)$")


class PlanError(PipelineError):
    """The inputs cannot be planned. The message names the shards in question."""


def expand_urls(urls: list[str] | tuple[str, ...]) -> list[str]:
    """Return one URL per shard, in the order given; local paths come out absolute.

    `{00000..00003}` and `{a,b}` expand as in a shell; a glob or a folder stands for its tars in sorted
    order; a path that exists is taken literally. Whether a plainly named shard exists is not checked here.

    Raises:
        PlanError: A glob or folder holds no shard, or a shard is given twice.
    """
    shards = [shard for url in urls for shard in _expand(url)]
    seen: set[str] = set()
    for shard in shards:
        if shard in seen:
            raise PlanError(f"shard {shard} is given twice; each shard may be listed once, so remove one of the two")
        seen.add(shard)
    return shards


def _expand(url: str) -> list[str]:
    literal = _absolute(url)
    if is_local(literal) and os.path.exists(literal):
        return _expand_place(literal)
    return [shard for alternative in _expand_braces(url) for shard in _expand_place(_absolute(alternative))]


def _absolute(url: str) -> str:
    if url.startswith("file://"):
        url = url.removeprefix("file://")
    if url.startswith("memory://"):
        raise PlanError(f"{url}: memory:// lives in one process and a job has several; use local files or s3://")
    return os.path.abspath(os.path.expanduser(url)) if is_local(url) else url


def _expand_braces(url: str) -> list[str]:
    """Expand the first `{...}` that holds a range or a list, then what follows it; braces do not nest."""
    for match in _BRACES.finditer(url):
        choices = _choices(match[1])
        if choices is not None:
            head, tail = url[: match.start()], url[match.end() :]
            return [head + choice + rest for choice in choices for rest in _expand_braces(tail)]
    return [url]


def _choices(inside: str) -> list[str] | None:
    span = _RANGE.match(inside)
    if span is None:
        return inside.split(",") if "," in inside else None
    first, last = int(span[1]), int(span[2])
    width = max(len(span[1]), len(span[2])) if span[1][0] == "0" or span[2][0] == "0" else 0
    step = 1 if last >= first else -1
    return [str(number).zfill(width) for number in range(first, last + step, step)]


def _expand_place(url: str) -> list[str]:
    """Expand a folder or a glob; anything else is a shard."""
    if is_local(url):
        if os.path.isdir(url):
            return _tars_in(url, [os.path.join(url, name) for name in os.listdir(url)])
        if os.path.exists(url) or not glob.has_magic(url):
            return [url]
        return _matches(url, sorted(path for path in glob.glob(url) if os.path.isfile(path)))
    # In an http URL `?` begins a query, and only a trailing slash says that it is a folder.
    http = url.startswith(("http://", "https://"))
    wild = "*" in url if http else glob.has_magic(url)
    if not wild and (url.endswith(TAR_SUFFIXES) or (http and not url.endswith("/"))):
        return [url]
    try:
        fs, path = fsspec.url_to_fs(url)
        if wild:
            return _matches(url, [fs.unstrip_protocol(found) for found in sorted(fs.glob(path))])
        if fs.isdir(path):
            return _tars_in(url, [fs.unstrip_protocol(found) for found in fs.ls(path, detail=False)])
    except Exception as error:
        # Object stores raise their client library's own types, which have no common base.
        raise PlanError(
            f"{url}: cannot be listed ({type(error).__name__}: {error}); check it and the credentials"
        ) from error
    return [url]


def _tars_in(folder: str, paths: list[str]) -> list[str]:
    visible = (path for path in paths if not path.rsplit("/", 1)[-1].startswith("."))
    tars = sorted(path for path in visible if path.lower().endswith(TAR_SUFFIXES))
    if not tars:
        raise PlanError(f"folder {folder} holds no shard; shards end in {', '.join(TAR_SUFFIXES)}")
    return tars


def _matches(pattern: str, found: list[str]) -> list[str]:
    if not found:
        raise PlanError(f"no file matches {pattern}; check the path, and quote the pattern against the shell")
    return found
