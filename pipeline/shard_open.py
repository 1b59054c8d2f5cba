"""Opens a shard for reading, decompressed by the name's ending; remote ones go on where a connection broke."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from fsspec.core import url_to_fs

from pipeline.errors import PipelineError
from pipeline.file_version import stored_version
from pipeline.identity import is_local
from pipeline.records import ShardCode
from pipeline.retrying_file import RetryingFile
from pipeline.tar_source import ShardError

READ_AHEAD_BYTES = 8 << 20
"""Bytes that one request to a remote storage fetches; s3fs alone would take and hold 50 MiB."""
SILENCE_S = 60.0
"""Longest wait for the next bytes over http. The whole download may take as long as it likes."""


class NoDecompressor(PipelineError):
    """The library that the shard's compression needs is not installed."""


def _zstd(raw: Any) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise NoDecompressor("zstandard is not installed, which .zst needs; install mue[zstd]") from error
    return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)


_DECOMPRESSORS: dict[str, Callable[[Any], Any]] = {
    # Of the standard library, so that the error classes do not depend on what else is installed.
    "gz": lambda raw: gzip.GzipFile(fileobj=raw),
    "tgz": lambda raw: gzip.GzipFile(fileobj=raw),
    "bz2": bz2.BZ2File,
    "tbz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "txz": lzma.LZMAFile,
    "zst": _zstd,
    "tzst": _zstd,
}


@contextmanager
def open_shard(url: str) -> Iterator[BinaryIO]:
    """Give the tar stream of the shard and close it afterwards.

    Errors of opening are those of the storage; once it is open, those of remote shards and of decompression are
    `ShardError`.
    """
    decompressor = _DECOMPRESSORS.get(ending_of(url))
    with open_stored(url, forward_only=True) as raw:
        if decompressor is None:
            yield raw
            return
        with decompressor(raw) as stream:
            yield cast(BinaryIO, _Decompressed(stream, raw))


@contextmanager
def open_stored(url: str, *, forward_only: bool) -> Iterator[BinaryIO]:
    """Give the shard's bytes as they are stored, and close it afterwards; errors as those of `open_shard`.

    Args:
        url: Where it is.
        forward_only: Read from the first byte to the last; else by seeking, without reading ahead.
    """
    if is_local(url):
        with open(url, "rb") as file:
            yield file
        return
    http = url.startswith(("http://", "https://"))
    fs, path = url_to_fs(url, use_listings_cache=False, **(_http_options() if http else {}))
    facts = fs.info(path)

    def open_at(offset: int) -> Any:
        if http and forward_only:
            return _http_stream(fs, path, offset)
        cache = {} if forward_only else {"cache_type": "none"}
        file = fs.open(path, "rb", block_size=READ_AHEAD_BYTES, **cache)
        file.seek(offset)
        return file

    size = None if http and forward_only else facts.get("size")
    retrying = RetryingFile(open_at, lambda: stored_version(fs.info(path)), size=size)
    with retrying, io.BufferedReader(retrying, 1 << 16) as buffered:
        yield cast(BinaryIO, buffered)


def open_local_tar(url: str) -> BinaryIO | None:
    """Open an uncompressed tar in a local folder for seeking; None for any other shard."""
    return open(url, "rb") if is_local(url) and ending_of(url) not in _DECOMPRESSORS else None


def is_seekable_tar(url: str) -> bool:
    """Return whether a tar's bytes are stored as they are, so that one member can be read alone; http may not seek."""
    return ending_of(url) not in _DECOMPRESSORS and not url.startswith(("http://", "https://"))


def ending_of(url: str) -> str:
    """Return what follows the last dot of the name, lower-case; the query part of a URL does not count."""
    path = url if is_local(url) else url.split("?", 1)[0]
    _, dot, ending = path.rsplit("/", 1)[-1].rpartition(".")
    return ending.lower() if dot else ""


def _http_options() -> dict[str, Any]:
    import aiohttp

    # aiohttp's own limit of five minutes is one for the whole download.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
    return {"client_kwargs": {"timeout": timeout}}


def _http_stream(fs: Any, path: str, offset: int) -> Any:
    """One request for everything from `offset` on; of servers without ranges, the bytes before it are passed over."""
    # Packed on the way, the bytes would have other offsets than the file's.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    stream = fs.open(path, "rb", block_size=0, size=1, headers=headers)
    left = offset
    if stream.r.status == 206:
        left, given = 0, stream.r.headers.get("Content-Range", "")
        if not given.startswith(f"bytes {offset}-"):
            # Rows would come twice, or bytes of one image stand in another.
            raise ConnectionError(f"the server was asked for the bytes from {offset} on and gave '{given[:80]}'")
    while left:
        passed = len(stream.read(min(left, READ_AHEAD_BYTES)))
        if not passed:
            raise ConnectionError(f"the server's answer ended {left} bytes before byte {offset}")
        left -= passed
    return stream


class _Decompressed:
    """A decompressing stream whose own errors are told from those of the storage below it."""

    def __init__(self, stream: Any, raw: BinaryIO) -> None:
        self._stream, self._raw = stream, raw
        self._begun = False

    def read(self, n_bytes: int) -> bytes:
        try:
            data: bytes = self._stream.read(n_bytes)
        except (ShardError, MemoryError):
            raise
        except Exception as error:  # each decompressor has error classes of its own
            code = ShardCode.UNREADABLE if getattr(error, "errno", None) else ShardCode.BAD_COMPRESSION
            raise ShardError(code, f"{type(error).__name__}: {error}") from error
        if not data and n_bytes and not self._begun and self._raw.tell():
            # zstandard is silent about a frame that is cut: it must not pass for an empty file.
            raise ShardError(ShardCode.BAD_COMPRESSION, "the compressed data ends before the first byte of the tar")
        self._begun = self._begun or bool(data)
        return data
