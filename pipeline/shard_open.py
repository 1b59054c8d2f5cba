"""Opens a shard for reading from its first to its last byte, decompressed by the name's ending."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import fsspec
from fsspec.compression import compr
from fsspec.core import get_compression, url_to_fs

READ_AHEAD_BYTES = 8 << 20
"""Bytes that one request to a remote storage fetches; s3fs alone would take and hold 50 MiB."""


@contextmanager
def open_shard(url: str) -> Iterator[BinaryIO]:
    """Give the tar stream of the shard and close it afterwards; errors are those of the storage."""
    fs, path = url_to_fs(url)
    compression = compression_of(path)
    with fs.open(path, "rb", block_size=READ_AHEAD_BYTES) as raw:
        if compression is None:
            yield raw
            return
        # The standard library's gzip, so that the error classes do not depend on what else is installed.
        with gzip.GzipFile(fileobj=raw) if compression == "gzip" else compr[compression](raw, mode="rb") as stream:
            yield cast(BinaryIO, stream)


def open_local_tar(url: str) -> BinaryIO | None:
    """Open an uncompressed tar in a local folder for seeking; None for any other shard."""
    fs, path = url_to_fs(url)
    is_local = isinstance(fs, fsspec.get_filesystem_class("file"))
    return open(path, "rb") if is_local and compression_of(path) is None else None


def compression_of(path: str) -> str | None:
    """Return fsspec's name for the compression that the path's ending says; a query part does not count."""
    path = path.split("?", 1)[0].lower()
    return "gzip" if path.endswith((".gz", ".tgz")) else get_compression(path, "infer")


def stored_bytes(url: str) -> int | None:
    """Return the shard's size in storage, or None where the storage does not tell."""
    fs, path = url_to_fs(url)
    size = fs.info(path).get("size")
    return None if size is None else int(size)
