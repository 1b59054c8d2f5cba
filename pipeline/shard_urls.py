"""From what a user types to one URL per shard, in the order given."""

from __future__ import annotations

import glob
import logging
import math
import os
import re

import fsspec

from pipeline.errors import PipelineError, some
from pipeline.identity import is_local

logger = logging.getLogger(__name__)

_PACKED = {"gz": "tgz", "bz2": "tbz2", "xz": "txz", "zst": "tzst"}
TAR_SUFFIXES = (".tar", *(f".tar.{long}" for long in _PACKED), *(f".{short}" for short in _PACKED.values()))
SHARD_SUFFIXES = (*TAR_SUFFIXES, ".parquet")
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
_NO_SHARDS = (".json", ".jsonl", ".txt", ".csv", ".tsv", ".md", ".zip", *_IMAGES)
"""Endings of files that stand beside shards, or hold images in another form."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"^(\d{1,18})\.\.(\d{1,18})$")
MAX_ALTERNATIVES = 1_000_000
"""Most shards that the braces of all URLs may stand for: a digit too many would fill the memory."""


class PlanError(PipelineError):
    """The inputs cannot be planned. The message names the shards in question."""


def expand_urls(urls: list[str] | tuple[str, ...]) -> list[str]:
    """Return one URL per tar, Parquet file or folder of images, in the order given; local paths come out absolute.

    `{00000..00003}` and `{a,b}` expand as in a shell; a glob stands for what it matches, a folder for its tars and
    Parquet files in sorted order, and where it has none for itself: a folder of images. A path that exists is taken
    literally. What img2dataset writes beside a tar (`00000.parquet` and `00000_stats.json` for `00000.tar`) is no
    shard. Whether a plainly named shard exists is not checked here.

    Raises:
        PlanError: A glob matches nothing, a file can be no shard, a shard is given twice, or braces stand for more
            than anybody has.
    """
    _check_braces(urls)
    shards = _without_side_cars([shard for url in urls for shard in _expand(url)])
    strangers = [shard for shard in shards if _path_of(shard).lower().endswith(_NO_SHARDS) and not _is_folder(shard)]
    if strangers:
        raise PlanError(
            f"no shards: {some(strangers)}; shards are tars, Parquet files and folders of images: give the folder"
        )
    seen: set[str] = set()
    for shard in shards:
        if shard in seen:
            raise PlanError(f"shard {shard} is given twice; each shard may be listed once, so remove one of the two")
        seen.add(shard)
    return shards


def _expand(url: str) -> list[str]:
    if _is_there(url):
        return _expand_place(_absolute(url))
    return [shard for alternative in _expand_braces(url) for shard in _expand_place(_absolute(alternative))]


def _check_braces(urls: list[str] | tuple[str, ...]) -> None:
    total = 0
    for url in urls:
        number = math.prod(_n_choices(match[1]) for match in _BRACES.finditer(url))
        if number == 1 or _is_there(url):
            continue
        total += number
        if total > MAX_ALTERNATIVES:
            so_far = f"{url} stands for {number:,} shards"
            so_far += f", {total:,} with those before it" if total > number else ""
            raise PlanError(f"{so_far}, over the limit of {MAX_ALTERNATIVES:,}; check the range")


def _is_there(url: str) -> bool:
    """Return whether a local path exists as it is typed, braces and all."""
    literal = _absolute(url)
    return is_local(literal) and os.path.exists(literal)


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
    # As in a shell: a lone 0 asks for no zeros before the others.
    padded = any(len(number) > 1 and number[0] == "0" for number in span.groups())
    width = max(map(len, span.groups())) if padded else 0
    step = 1 if last >= first else -1
    return [str(number).zfill(width) for number in range(first, last + step, step)]


def _n_choices(inside: str) -> int:
    """Return how many choices there are without making them."""
    span = _RANGE.match(inside)
    return inside.count(",") + 1 if span is None else abs(int(span[2]) - int(span[1])) + 1


def _expand_place(url: str) -> list[str]:
    """Expand a folder or a glob; anything else is a shard."""
    if is_local(url):
        if os.path.isdir(url):
            return _shards_of_folder(url, _names_in(url))
        if os.path.exists(url) or not glob.has_magic(url):
            return [url]
        # What matches is there, so that it is taken as it is: a folder for what it holds.
        return [shard for found in _matches(url, sorted(glob.glob(url))) for shard in _expand_place(found)]
    # In an http URL `?` begins a query, and only a trailing slash says that it is a folder.
    http = url.startswith(("http://", "https://"))
    wild = "*" in url if http else glob.has_magic(url)
    if not wild and (url.endswith(SHARD_SUFFIXES) or (http and not url.endswith("/"))):
        return [url]
    try:
        fs, path = fsspec.url_to_fs(url)
        if wild:
            return _matches(url, [fs.unstrip_protocol(found) for found in sorted(fs.glob(path))])
        if fs.isdir(path):
            inside = [fs.unstrip_protocol(found) for found in fs.ls(path, detail=False)]
            # The slash stays where it alone tells a folder from a file.
            return _shards_in(inside) or [url if http else url.rstrip("/")]
    except Exception as error:
        # Object stores raise their client library's own types, which have no common base.
        raise PlanError(
            f"{url}: cannot be listed ({type(error).__name__}: {error}); check it and the credentials"
        ) from error
    return [url]


def _names_in(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError as error:
        raise PlanError(f"folder {folder} cannot be listed: {error.strerror}; check its permissions") from error


def _shards_in(paths: list[str]) -> list[str]:
    """The folder's tars and Parquet files; side-cars are left out later."""
    visible = (path for path in paths if not path.rsplit("/", 1)[-1].startswith("."))
    return sorted(path for path in visible if path.lower().endswith(SHARD_SUFFIXES))


def _shards_of_folder(folder: str, inside: list[str]) -> list[str]:
    """The shards of a local folder, else the folder itself; what is passed over for its shards is told."""
    shards = _shards_in(inside)
    if not shards:
        return [folder]
    visible = [path for path in inside if not os.path.basename(path).startswith(".")]
    images = [path for path in visible if path.lower().endswith(_IMAGES)]
    folders = [
        path for path in visible if not path.lower().endswith((*SHARD_SUFFIXES, *_NO_SHARDS)) and os.path.isdir(path)
    ]
    if images or folders:
        others = some(sorted(map(os.path.basename, images + folders)))
        logger.warning(
            "%s: taken for the %d shards in it; not read: %d images and %d folders (%s); "
            "give folders by name, and images in a folder of their own",
            *(folder, len(shards), len(images), len(folders), others),
        )
    return shards


def _without_side_cars(shards: list[str]) -> list[str]:
    """Leave out what img2dataset wrote beside a tar that is itself among the shards."""
    stems = {shard.removesuffix(suffix) for shard in shards for suffix in TAR_SUFFIXES if shard.endswith(suffix)}
    endings = (".parquet", "_stats.json", ".json")
    return [
        shard
        for shard in shards
        if not any(shard.endswith(ending) and shard.removesuffix(ending) in stems for ending in endings)
    ]


def _path_of(url: str) -> str:
    return url if is_local(url) else url.split("?", 1)[0]


def _is_folder(url: str) -> bool:
    return is_local(url) and os.path.isdir(url)


def _matches(pattern: str, found: list[str]) -> list[str]:
    if not found:
        raise PlanError(f"no file matches {pattern}; check the path, and quote the pattern against the shell")
    return found
