"""Reads an image that is a file or an object of its own: bounded, never blocking on what is no regular file.

A failure is the row's, not the shard's: `ImageFileError` carries the code that the row gets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import fsspec

from mue_model.regular_file import open_regular
from pipeline.errors import PipelineError
from pipeline.file_version import local_version
from pipeline.identity import is_local
from pipeline.records import ErrorCode

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "http", "https")
"""Where a path in a table may lead beside the local disk; anything else is refused before it is opened."""
TIMEOUT_S = 30.0
"""Longest wait for one image over http."""
PAUSES_S = (0.5,)
"""Waits before an object that could not be read is asked for again: few, for lists of URLs hold many dead hosts, and
`mue retry` asks again."""

_SHOWN = 300


class ImageFileError(PipelineError):
    """The image cannot be had; `code` and `message` are those of the row."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


def read_image(place: str, *, max_bytes: int, version: str | None = None) -> bytes:
    """Return the bytes of the image at `place`, at least one and at most `max_bytes`.

    Args:
        place: A path, or a URL of one of `PROTOCOLS`.
        max_bytes: A larger image is not read.
        version: What `local_version` must say about a local file once it is open.

    Raises:
        ImageFileError: Absent, empty, too large, no regular file, changed, or not given by storage.
    """
    local = is_local(place)
    data = read_regular(place, max_bytes=max_bytes, version=version) if local else _fetched(place, max_bytes)
    if not data:
        raise ImageFileError(ErrorCode.EMPTY_IMAGE, f"{shown(place)} has zero bytes")
    return data


def read_regular(path: str, *, max_bytes: int, version: str | None = None) -> bytes:
    """Return the bytes of a local file; otherwise as `read_image`, but zero bytes are fine."""
    try:
        file = open_regular(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageFileError(ErrorCode.MISSING_IMAGE, f"{shown(path)}: there is no such file") from error
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ImageFileError(ErrorCode.UNREADABLE_IMAGE, f"{shown(path)}: {reason}") from error
    with file:
        facts = os.fstat(file.fileno())
        if version is not None and version != local_version(facts):
            raise ImageFileError(ErrorCode.UNREADABLE_IMAGE, f"{shown(path)} changed after the shard was looked at")
        if facts.st_size > max_bytes:
            raise too_large(path, facts.st_size)
        try:
            data = file.read(max_bytes + 1)
        except OSError as error:
            raise ImageFileError(ErrorCode.UNREADABLE_IMAGE, f"{shown(path)}: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise too_large(path, len(data))
    return data


def too_large(place: str, n_bytes: int) -> ImageFileError:
    """Return the error of an image over the limit."""
    return ImageFileError(ErrorCode.MEMBER_TOO_LARGE, f"{shown(place)} has {n_bytes} bytes, over the limit")


def shown(place: str) -> str:
    """Return a path or URL as messages show it."""
    return repr(place.encode("utf-8", "backslashreplace").decode()[:_SHOWN])


def _fetched(url: str, max_bytes: int, sleep: Callable[[float], None] = time.sleep) -> bytes:
    protocol = url.split("://", 1)[0]
    if protocol not in PROTOCOLS or "::" in url:
        message = f"{shown(url)}: images are read from local paths and {', '.join(PROTOCOLS)}"
        raise ImageFileError(ErrorCode.UNREADABLE_IMAGE, message)
    for pause_s in (*PAUSES_S, None):
        try:
            return _fetched_once(url, protocol, max_bytes)
        except (ImageFileError, MemoryError):
            raise
        except FileNotFoundError as error:
            raise ImageFileError(ErrorCode.MISSING_IMAGE, f"{shown(url)}: there is no such object") from error
        except Exception as error:  # storage backends raise classes of their own
            if pause_s is None or not _may_pass(error):
                message = f"{shown(url)}: {type(error).__name__}: {error}"
                raise ImageFileError(ErrorCode.UNREADABLE_IMAGE, message[:1000]) from error
            sleep(pause_s)
    raise AssertionError("the last try returns or raises")


def _may_pass(error: Exception) -> bool:
    """Return whether another try may succeed: not where the store refuses, or the URL makes no sense."""
    if isinstance(error, (PermissionError, ValueError, ImportError)):
        return False
    status = getattr(error, "status", None)
    return not (isinstance(status, int) and 400 <= status < 500 and status not in (408, 429))


def _fetched_once(url: str, protocol: str, max_bytes: int) -> bytes:
    options: dict[str, Any] = {}
    if protocol in ("http", "https"):
        import aiohttp

        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(total=TIMEOUT_S)}
    fs, path = fsspec.url_to_fs(url, use_listings_cache=False, **options)
    if protocol in ("http", "https"):
        # A stream: what a server says about sizes and ranges need not be true.
        with fs.open(path, "rb", block_size=0, size=1) as stream:
            data = _read_up_to(stream, max_bytes + 1)
    else:
        size = int(fs.info(path).get("size") or 0)
        if size > max_bytes:
            raise too_large(url, size)
        data = fs.cat_file(path) if size else b""
    if len(data) > max_bytes:
        raise too_large(url, len(data))
    return data


def _read_up_to(stream: Any, n_bytes: int) -> bytes:
    """Read until the end or `n_bytes`: one read gives what has arrived."""
    parts, left = [], n_bytes
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
