"""Every image file of a folder is one row, in one run, with what stands beside it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.folder_images import cut_into_runs, digest_of_run, iter_images

SUFFIXES = ("jpg", "png", "seg.png")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_files_that_differ_in_suffix_are_one_row_and_every_image_is_one(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.jpg",
        "a.txt",
        "a.JSON",
        "a.png",
        "Dr. Who.JPG",
        "Dr. Who.txt",
        "m.seg.png",
        "n/a.jpg",
        "alone.txt",
        "README",
    )
    left_out: Counter[str] = Counter()
    images = list(iter_images(str(tmp_path), SUFFIXES, left_out=left_out))
    assert [(image.key, image.image.suffix, sorted(seen.suffix for seen in image.beside)) for image in images] == [
        ("Dr. Who", "jpg", ["txt"]),
        ("a", "jpg", ["json", "txt"]),
        ("a", "png", ["json", "txt"]),
        ("m", "seg.png", []),
        ("n/a", "jpg", []),
    ]
    assert left_out == {"txt": 1, "readme": 1}
    assert images[1].n_bytes == sum(len(name) for name in ("a.jpg", "a.txt", "a.JSON"))


NAMES = st.lists(
    st.tuples(
        st.sampled_from(["", "x/", "x/y/", "z/"]),
        st.sampled_from(["a", "a-b", "a.b", "ab", "ü"]),
        st.sampled_from([".jpg", ".png", ".txt", ".b.jpg"]),
    ),
    max_size=25,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(NAMES, st.integers(1, 5))
def test_runs_hold_every_image_once_and_can_be_read_alone(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str, str]], rows_per_run: int
) -> None:
    root = tmp_path_factory.mktemp("images")
    touch(root, *("".join(name) for name in names))
    images = list(iter_images(str(root), SUFFIXES))
    assert sorted(image.path for image in images) == sorted({"".join(n) for n in names if n[2] != ".txt"})
    runs = list(cut_into_runs(images, rows_per_run=rows_per_run))
    again = [list(iter_images(str(root), SUFFIXES, run=counted.run)) for counted in runs]
    assert [image.path for part in again for image in part] == [image.path for image in images]
    assert [len(part) for part in again] == [counted.rows for counted in runs]
    assert [digest_of_run(part) for part in again] == [counted.run.digest for counted in runs]
    assert sum(counted.n_bytes for counted in runs) == sum(image.n_bytes for image in images)


@pytest.mark.parametrize("change", ["add", "remove", "rewrite", "rename", "beside"])
def test_any_change_gives_another_digest(tmp_path: Path, change: str) -> None:
    touch(tmp_path, "a.jpg", "a.txt", "b.jpg", "c.jpg")

    def digest() -> str:
        [counted] = cut_into_runs(iter_images(str(tmp_path), SUFFIXES))
        return counted.run.digest

    before = digest()
    assert digest() == before
    if change == "add":
        touch(tmp_path, "bb.jpg")
    elif change == "remove":
        (tmp_path / "b.jpg").unlink()
    elif change == "rewrite":
        os.utime(tmp_path / "b.jpg", ns=(5, 5))
    elif change == "rename":
        (tmp_path / "b.jpg").rename(tmp_path / "bb.jpg")
    else:
        (tmp_path / "a.txt").write_text("another caption")
    assert digest() != before


def test_no_image_no_run() -> None:
    assert list(cut_into_runs([])) == []
    assert digest_of_run([]) == ""
