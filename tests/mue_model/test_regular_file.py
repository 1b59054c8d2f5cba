from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mue_model.regular_file import open_given, open_regular, read_bounded


def test_a_file_is_read_through_a_link_and_up_to_its_bound(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"x" * 100)
    link.symlink_to(path)
    assert read_bounded(link, most_bytes=100) == b"x" * 100
    with pytest.raises(OSError, match="more than 99 bytes"):
        read_bounded(path, most_bytes=99)


def test_what_would_block_or_never_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    began = time.perf_counter()
    for path in (tmp_path / "pipe", tmp_path / "zero", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)
    assert time.perf_counter() - began < 2
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")


def test_what_a_shell_hands_over_is_read_and_a_pipe_with_a_name_is_not(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x" * 100)
    with pytest.raises(OSError, match="more than 99 bytes"):
        read_bounded(f"/dev/fd/{reader}", most_bytes=99, opened=open_given)
    os.write(writer, b"y")
    os.close(writer)
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(f"/dev/fd/{reader}")
    assert read_bounded(f"/dev/fd/{reader}", opened=open_given) == b"y"
    os.close(reader)
    assert read_bounded("/dev/null", opened=open_given) == b""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read_bounded(path, opened=open_given)
