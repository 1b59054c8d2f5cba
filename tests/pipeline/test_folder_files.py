"""A folder's files: always in the same order, nothing opened, no loop, and no more listed than asked for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.folder_files import FolderFile, Position, list_files, position_of


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def listed(url: str, first: Position | None = None, last: Position | None = None) -> list[str]:
    return ["/".join((*at, file.name)) for at, files in list_files(url, first=first, last=last) for file in files]


NAMES = ("b.jpg", "a.jpg", "a-b/c.jpg", "a/z.jpg", "a/x/y.jpg", ".hidden.jpg", ".git/a.jpg", "z/w.jpg")
ORDER = ["a.jpg", "b.jpg", "a/z.jpg", "a/x/y.jpg", "a-b/c.jpg", "z/w.jpg"]


def test_files_come_before_folders_and_hidden_names_not_at_all(tmp_path: Path) -> None:
    touch(tmp_path, *NAMES)
    assert listed(str(tmp_path)) == ORDER
    assert sorted(ORDER, key=position_of) == ORDER


def test_an_object_store_has_the_same_order(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for name in (*NAMES, "a/", "empty/"):
        fs.pipe_file(f"{bucket}/in/{name}", b"x")
    assert listed(f"{bucket}/in") == ORDER
    [(_, [first, *_]), *_] = list_files(f"{bucket}/in")
    assert (first.place, first.facts().size) == (f"{bucket}/in/a.jpg", 1)
    assert first.facts().version


PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), min_size=1, unique=True)


@settings(max_examples=60, deadline=None)
@given(PATHS, st.data())
def test_bounds_leave_out_only_what_lies_outside(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], draw: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("walk")
    touch(root, *(f"{path}.jpg" for path in paths))
    everything = listed(str(root))
    first, last = sorted(
        (draw.draw(st.sampled_from(everything)), draw.draw(st.sampled_from(everything))), key=position_of
    )
    low, high = position_of(first), position_of(last)
    within = [path for path in everything if low <= position_of(path) <= high]
    some = listed(str(root), low, high)
    assert [path for path in some if low <= position_of(path) <= high] == within
    assert sorted(everything, key=position_of) == everything


BOUNDS = (
    ("abc.1.jpg", "abd.jpg"), ("abc.bmp", "abc.jpg"), ("sub/a1.jpg", "sub/a9.jpg"), ("a.jpg", "sub/b.jpg"),
    ("sub/a1.jpg", "sub/b/c.jpg"),
)  # fmt: skip
STORED = (
    "a.jpg", "abc.1.jpg", "abc.bmp", "abc.jpg", "abc.txt", "abd.jpg", "abd.txt", "sub/a1.jpg", "sub/a1.txt",
    "sub/a9.jpg", "sub/a9.txt", "sub/b.jpg", "sub/b/c.jpg", "sub/b/c.txt",
)  # fmt: skip


def test_a_store_lists_by_prefix_what_lies_between_and_beside(bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    for name in STORED:
        fs.pipe_file(f"{bucket}/{name}", b"x")
    found = {}
    for first, last in BOUNDS:
        low, high = position_of(first), position_of(last)
        found[first, last] = listed(bucket, low, high)
        stems = {name.rpartition(".")[0] for name in STORED if low <= position_of(name) <= high}
        assert {name for name in STORED if name.rpartition(".")[0] in stems} <= set(found[first, last])
    assert found["sub/a1.jpg", "sub/a9.jpg"] == ["sub/a1.jpg", "sub/a1.txt", "sub/a9.jpg", "sub/a9.txt"]


def test_what_is_no_regular_file_is_said_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.symlink("nowhere", tmp_path / "dangling.jpg")
    os.symlink("circle.jpg", tmp_path / "circle.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.jpg"))
        [(_, files)] = list_files(str(tmp_path))
        problems = {file.name: file.facts().problem for file in files}
    assert problems == {
        "circle.jpg": "cannot be looked at: Too many levels of symbolic links",
        "dangling.jpg": "is a link to nothing",
        "pipe.jpg": "is a named pipe, not a file",
        "socket.jpg": "is a socket, not a file",
    }


def test_links_to_folders_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "in/a/x.jpg", "elsewhere/y.jpg")
    os.symlink(tmp_path / "elsewhere", tmp_path / "in/b")
    os.symlink(tmp_path / "in", tmp_path / "in/a/up")
    os.symlink("missing-folder", tmp_path / "in/c")
    assert listed(str(tmp_path / "in")) == ["c", "a/x.jpg", "b/y.jpg"]


def test_names_that_are_not_utf8_are_shown_with_escapes_and_can_be_opened(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(b"12345")
    [(_, [file])] = list_files(str(tmp_path))
    assert file.name == "caf\\xe9.jpg"
    assert file.facts().size == 5


def test_a_rewritten_file_has_another_version(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    file = FolderFile("a.jpg", str(tmp_path / "a.jpg"))
    before = file.facts()
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    assert file.facts().version != before.version
    assert (file.facts().size, file.facts().problem) == (before.size, None)
