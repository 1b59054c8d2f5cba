"""An image that is a file or an object of its own: bounded, never blocking, every failure with a code."""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest

from pipeline import image_file
from pipeline.file_version import local_version
from pipeline.image_file import ImageFileError, read_image, read_regular


def code_of(place: str, **options: object) -> str:
    with pytest.raises(ImageFileError) as caught:
        read_image(place, **({"max_bytes": 100} | options))  # type: ignore[arg-type]
    assert str(caught.value)
    return caught.value.code


def test_local_files(tmp_path: Path) -> None:
    path = tmp_path / "a::b?.jpg"
    path.write_bytes(b"x" * 100)
    assert read_image(str(path), max_bytes=100) == b"x" * 100
    assert code_of(str(path), max_bytes=99) == "member_too_large"
    (tmp_path / "empty.jpg").touch()
    assert code_of(str(tmp_path / "empty.jpg")) == "empty_image"
    assert read_regular(str(tmp_path / "empty.jpg"), max_bytes=1) == b""
    assert code_of(str(tmp_path / "gone.jpg")) == "missing_image"
    assert code_of(str(tmp_path)) == "unreadable_image"
    assert code_of(str(tmp_path / "a\0.jpg")) == "unreadable_image"
    assert code_of(str(tmp_path / ("n" * 300))) == "unreadable_image"


def test_what_would_block_or_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    start = time.perf_counter()
    assert code_of(str(tmp_path / "pipe.jpg")) == "unreadable_image"
    assert code_of("/dev/zero") == "unreadable_image"
    assert code_of("/dev/stdin") == "unreadable_image"
    assert time.perf_counter() - start < 2


def test_a_file_that_changed_is_not_taken_for_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    version = local_version(path.stat())
    assert read_image(str(path), max_bytes=10, version=version) == b"old"
    path.write_bytes(b"newer")
    assert code_of(str(path), version=version) == "unreadable_image"


@pytest.mark.parametrize("url", ["ftp://h/a.jpg", "memory://a.jpg", "simplecache::s3://b/a.jpg", "s3://b/a::c", "x://"])
def test_only_stores_of_images_are_asked(url: str) -> None:
    assert code_of(url) == "unreadable_image"


def test_an_object_store(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    fs.pipe_file(f"{bucket}/a.jpg", b"x" * 100)
    fs.pipe_file(f"{bucket}/empty.jpg", b"")
    assert read_image(f"{bucket}/a.jpg", max_bytes=100) == b"x" * 100
    assert code_of(f"{bucket}/a.jpg", max_bytes=99) == "member_too_large"
    assert code_of(f"{bucket}/empty.jpg") == "empty_image"
    assert code_of(f"{bucket}/gone.jpg") == "missing_image"
    assert code_of("s3://no-such-bucket-anywhere/a.jpg") == "missing_image"


class _Server(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = int(self.path[1:4])
        if "once" in self.path and self.asked.count(self.path) > 1:
            status = 200
        self.send_response(status)
        self.end_headers()
        sent = 0
        while "endless" in self.path and sent < 50 << 20:
            self.wfile.write(bytes(1 << 16))
            sent += 1 << 16
        if "slow" in self.path:
            time.sleep(3)
        self.wfile.write(b"image")


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as found:
        threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_the_web(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "PAUSES_S", (0.0,))
    _Server.asked.clear()
    assert read_image(f"{server}/200/a.jpg", max_bytes=5) == b"image"
    assert code_of(f"{server}/200/a.jpg", max_bytes=4) == "member_too_large"
    assert code_of(f"{server}/200/endless.jpg") == "member_too_large"
    assert code_of(f"{server}/404/a.jpg") == "missing_image"
    assert code_of(f"{server}/403/a.jpg") == "unreadable_image"
    assert _Server.asked.count("/403/a.jpg") == 1, "a refusal is not asked again"
    assert read_image(f"{server}/503/once.jpg", max_bytes=5) == b"image"
    assert code_of(f"{server}/500/a.jpg") == "unreadable_image"
    assert _Server.asked.count("/500/a.jpg") == 2
    assert code_of("http://127.0.0.1:9/a.jpg") == "unreadable_image"


def test_a_server_that_does_not_answer_costs_no_more_than_the_limit(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_file, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(image_file, "PAUSES_S", ())
    start = time.perf_counter()
    assert code_of(f"{server}/200/slow.jpg") == "unreadable_image"
    assert time.perf_counter() - start < 2
