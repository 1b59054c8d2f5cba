"""Shards over http and S3, whole and with connections that break; every compression; none that is not installed."""

from __future__ import annotations

import bz2
import gzip
import http.server
import io
import lzma
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import retrying_file, shard_open
from pipeline.plan import PlanError, plan_shards
from pipeline.shard_open import ending_of
from pipeline.shard_rows import iter_tables
from pipeline.shard_urls import expand_urls

Row = dict[str, Any]


def tar_of(count: int, size: int = 3000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(count):
            info = tarfile.TarInfo(f"{number:03d}.jpg")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes([number]) * size))
    return out.getvalue()


TAR = tar_of(20)


def read(url: str, **options: Any) -> tuple[list[Row], Row]:
    tables = iter_tables(url, "000000-a", suffixes=("jpg",), max_member_bytes=1 << 20, **options)
    *rows, control = [row for table in tables for row in table.to_pylist()]
    return rows, control


def assert_whole(url: str, **options: Any) -> None:
    rows, control = read(url, **options)
    assert [row["image"] for row in rows] == [bytes([number]) * 3000 for number in range(20)]
    assert (control["shard_total"], control["shard_state"], control["shard_message"]) == (20, "done", None)


class Web:
    """A real server of some bytes that may break connections, refuse ranges, or change its mind."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges, self.break_after, self.breaks, self.status = True, 0, 0, 200
        self.ranges_from_zero = False
        self.etag = "v1"
        self.offsets: list[int] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, *, body: bool) -> None:
                data = web.files.get(self.path.split("?")[0])
                if data is None or web.status != 200:
                    self.send_error(404 if data is None else web.status)
                    return
                start, total = 0, len(data)
                if web.ranges and (wanted := self.headers.get("Range")):
                    first, _, last = wanted.removeprefix("bytes=").partition("-")
                    start = 0 if web.ranges_from_zero else int(first)
                    data = data[start : int(last) + 1 if last else None]
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{total}")
                else:
                    self.send_response(200)
                if "gzip" in self.headers.get("Accept-Encoding", ""):
                    data = gzip.compress(data)
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("ETag", f'"{web.etag}"')
                if web.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                if body:
                    web.offsets.append(start)
                    if web.breaks:
                        web.breaks -= 1
                        self.wfile.write(data[: web.break_after])
                        self.wfile.flush()
                        time.sleep(0.1)  # what was sent arrives before the end does
                        self.close_connection = True
                        return
                    self.wfile.write(data)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(retrying_file.RetryingFile.__init__, "__kwdefaults__", {"pauses_s": (0.0,) * 4})
    found = Web()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_http(web: Web) -> None:
    web.files["/a.tar"] = TAR
    [shard] = plan_shards(expand_urls([f"{web.url}/a.tar?token=x"]))
    assert (shard.size, shard.etag) == (len(TAR), "v1")
    web.offsets.clear()
    assert_whole(shard.url, expected_size=shard.size)
    assert web.offsets == [0], "one request for the whole shard"
    rows, control = read(f"{web.url}/gone.tar")
    assert (rows, control["shard_code"]) == ([], "unreadable")


def test_why_http_gives_no_shard_is_said_when_planning(web: Web) -> None:
    web.files["/a.tar"] = TAR
    for status, said in ((200, "not found"), (403, "ClientResponseError: 403"), (503, "ClientResponseError: 503")):
        web.status = status
        with pytest.raises(PlanError, match=rf"/(a|gone)\.tar \({said}"):
            plan_shards([f"{web.url}/{'gone' if status == 200 else 'a'}.tar"])
    with pytest.raises(PlanError, match=r"a\.tar \(ClientConnectorError: Cannot connect to host 127\.0\.0\.1:9 "):
        plan_shards(["http://127.0.0.1:9/a.tar"])


@pytest.mark.parametrize("ranges", [True, False])
def test_http_connections_that_break_lose_nothing(web: Web, ranges: bool) -> None:
    web.files["/a.tar"], web.ranges, web.break_after = TAR, ranges, 20_000
    web.breaks = 3 if ranges else 1
    assert_whole(f"{web.url}/a.tar")
    assert web.breaks == 0
    assert web.offsets[1] == (20_000 if ranges else 0), "it goes on at the byte where it was, if the server can"


@pytest.mark.parametrize("break_after", [20_000, 7 * 4096])
def test_a_server_that_begins_again_where_it_was_not_asked_to_mixes_nothing(web: Web, break_after: int) -> None:
    """Between two members it would be a whole tar with rows that come twice."""
    web.files["/a.tar"], web.ranges_from_zero, web.break_after, web.breaks = tar_of(20, 3584), True, break_after, 1
    rows, control = read(f"{web.url}/a.tar")
    assert [row["image"] for row in rows if row["image"]] == [bytes([number]) * 3584 for number in range(len(rows))]
    assert 3 < len(rows) < 8
    assert control["shard_code"] == "unreadable"
    assert f"asked for the bytes from {break_after} on and gave 'bytes 0-" in control["shard_message"]


def test_http_that_stays_broken_or_changes_is_said(web: Web) -> None:
    web.files["/a.tar"], web.break_after, web.breaks = TAR, 0, 1000
    rows, control = read(f"{web.url}/a.tar")
    assert (rows, control["shard_total"], control["shard_code"]) == ([], 0, "unreadable")
    web.break_after, web.breaks = 20_000, 1
    offsets = len(web.offsets)

    class Changing(dict[str, bytes]):
        def get(self, path: str, default: Any = None) -> Any:
            if len(web.offsets) > offsets:
                web.etag = "v2"
            return super().get(path, default)

    web.files = Changing(web.files)
    rows, control = read(f"{web.url}/a.tar")
    assert 3 < len(rows) < 7, "the rows before the break"
    assert control["shard_code"] == "changed"


def test_parquet_over_http_needs_ranges(web: Web) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"image": [bytes([n]) * 50_000 for n in range(20)]}), out, row_group_size=5)
    web.files["/t.parquet"] = out.getvalue()
    rows, control = read(f"{web.url}/t.parquet")
    assert [row["image"][0] for row in rows] == list(range(20))
    assert control["shard_state"] == "done"


@pytest.fixture(params=["s3", "gs"])
def either_bucket(request: pytest.FixtureRequest) -> str:
    """URL of an empty bucket of either kind of store."""
    url: str = request.getfixturevalue(f"{request.param}_bucket")
    return url


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_object_stores(either_bucket: str, name: str) -> None:
    url = f"{either_bucket}/in/{name}"
    fsspec.url_to_fs(url)[0].pipe_file(url, gzip.compress(TAR) if name.endswith("gz") else TAR)
    for typed in (url, f"{either_bucket}/in/", f"{either_bucket}/*/?.tar*"):
        [shard] = plan_shards(expand_urls([typed]))
        assert shard.url == url
        assert_whole(shard.url, expected_size=shard.size, expected_etag=shard.etag)


def test_parquet_and_images_in_object_stores(either_bucket: str) -> None:
    fs, images = fsspec.url_to_fs(either_bucket)[0], [bytes([number]) * 3000 for number in range(20)]
    out = io.BytesIO()
    pq.write_table(pa.table({"image": images}), out, row_group_size=7)
    fs.pipe_file(f"{either_bucket}/t.parquet", out.getvalue())
    files = [image + b"." for image in images]  # the emulator of GCS drops ends of lines at the end of an object
    for number, data in enumerate(files):
        fs.pipe_file(f"{either_bucket}/photos/{number % 2}/{number:02d}.jpg", data)
    table, photos = plan_shards(expand_urls([f"{either_bucket}/t.parquet", f"{either_bucket}/photos"]))
    assert_whole(table.url, expected_size=table.size, expected_etag=table.etag)
    rows, control = read(photos.url, files=photos.files)
    assert [row["image"] for row in rows] == files[::2] + files[1::2]
    assert control["shard_state"] == "done"


def test_s3_connections_that_break_lose_nothing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setattr(shard_open, "READ_AHEAD_BYTES", 10_000)
    monkeypatch.setattr(retrying_file.RetryingFile.__init__, "__kwdefaults__", {"pauses_s": (0.0,) * 4})
    fsspec.filesystem("s3").pipe_file(f"{bucket}/a.tar", TAR)
    fetch, broken = s3fs.core.S3File._fetch_range, []

    def breaking(file: Any, start: int, end: int) -> bytes:
        if len(broken) < 3 and start >= 20_000 * (1 + len(broken)):
            broken.append(start)
            raise ConnectionResetError("peer went away")
        data: bytes = fetch(file, start, end)
        return data

    monkeypatch.setattr(s3fs.core.S3File, "_fetch_range", breaking)
    assert_whole(f"{bucket}/a.tar")
    assert len(broken) == 3


def _zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    half = len(data) // 2
    packer = zstandard.ZstdCompressor()
    return packer.compress(data[:half]) + packer.compress(data[half:])  # as parallel tools write it: several frames


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar.gz": gzip.compress, "tgz": gzip.compress, "tar.bz2": bz2.compress, "tbz2": bz2.compress,
    "tar.xz": lzma.compress, "txz": lzma.compress, "tar.zst": _zstd, "tzst": _zstd,
}  # fmt: skip


@pytest.mark.parametrize("ending", PACKERS)
def test_every_compression_good_and_broken(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    packed = PACKERS[ending](TAR)
    path.write_bytes(packed)
    assert expand_urls([str(tmp_path)]) == [str(path)]
    assert_whole(str(path))
    for damage in (packed[: len(packed) * 2 // 3], packed[:40] + b"\xff" * 8 + packed[48:], TAR, packed[:-3]):
        path.write_bytes(damage)
        rows, control = read(str(path))
        assert control["shard_state"] == "bad"
        assert control["shard_code"] in ("bad_compression", "truncated")
        assert [row["image"] for row in rows if row["image"]] == [
            bytes([number]) * 3000 for number in range(sum(row["image"] is not None for row in rows))
        ]


@pytest.mark.parametrize("ending", PACKERS)
def test_what_is_cut_before_its_first_byte_is_not_an_empty_file(tmp_path: Path, ending: str) -> None:
    packed = PACKERS[ending](TAR)
    for cut, code in ((0, "empty_file"), (20, "bad_compression")):
        (tmp_path / f"a.{ending}").write_bytes(packed[:cut])
        rows, control = read(str(tmp_path / f"a.{ending}"))
        assert (rows, control["shard_state"]) == ([], "bad")
        assert control["shard_code"] in (code, "bad_compression")


def test_a_bomb_is_bounded_by_the_limit_of_a_member(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as tar:
        for name, size in (("bomb.jpg", 60 << 20), ("a.jpg", 5)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    (tmp_path / "a.tar.xz").write_bytes(out.getvalue())
    assert len(out.getvalue()) < 100_000
    rows, control = read(str(tmp_path / "a.tar.xz"))
    assert [row["error_code"] for row in rows] == ["member_too_large", None]
    assert control["shard_state"] == "done"


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    (tmp_path / "a.tar.zst").write_bytes(b"x")
    _, control = read(str(tmp_path / "a.tar.zst"))
    assert control["shard_code"] == "unreadable"
    assert "install mue[zstd]" in control["shard_message"]


def test_the_ending_of_a_name() -> None:
    assert ending_of("https://h/a.tar.GZ?x=.zst") == "gz"
    assert ending_of("/d.gz/a") == ""
    assert ending_of("/d/a?.tar") == "tar"
