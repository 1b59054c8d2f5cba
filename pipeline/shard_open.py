"""Opens a shard for reading from its first to its last byte, decompressed by the name's ending."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import fsspec
from fsspec.compression import compr
from fsspec.core import get_compression, url_to_fs

from pipeline.identity import is_local

READ_AHEAD_BYTES = 8 << 20
"""Bytes that one request to a remote storage fetches; s3fs alone would take and hold 50 MiB."""


@contextmanager
def open_shard(url: str) -> Iterator[BinaryIO]:
    """Give the tar stream of the shard and close it afterwards; errors are those of the storage."""
    fs, path = _place_of(url)
    compression = compression_of(url)
    with fs.open(path, "rb", block_size=READ_AHEAD_BYTES) as raw:
        if compression is None:
            yield raw
            return
        # The standard library's gzip, so that the error classes do not depend on what else is installed.
        with gzip.GzipFile(fileobj=raw) if compression == "gzip" else compr[compression](raw, mode="rb") as stream:
            yield cast(BinaryIO, stream)


def open_local_tar(url: str) -> BinaryIO | None:
    """Open an uncompressed tar in a local folder for seeking; None for any other shard."""
    fs, path = _place_of(url)
    on_disk = isinstance(fs, fsspec.get_filesystem_class("file"))
    return open(path, "rb") if on_disk and compression_of(url) is None else None


def compression_of(url: str) -> str | None:
    """Return fsspec's name for the compression that the ending says; the query part of a URL does not count."""
    path = (url if is_local(url) else url.split("?", 1)[0]).lower()
    return "gzip" if path.endswith((".gz", ".tgz")) else get_compression(path, "infer")


def _place_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return file system and path; a plain path is taken as it is, though fsspec would read "::" as a chain."""
    return (fsspec.filesystem("file"), url) if is_local(url) else url_to_fs(url)
