"""Tokens that tell one version of a file from another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.file_version import local_version, stored_version


@pytest.mark.parametrize(
    ("facts", "version"),
    [
        ({"ETag": '"9b2c"', "size": 3}, "9b2c"),
        ({"etag": "x", "LastModified": "then"}, "x"),
        ({"ETag": None, "Last-Modified": "then", "size": 3}, "then"),
        ({"size": 3}, "size-3"),
        ({}, "size-None"),
    ],
)
def test_of_an_object_the_stores_own(facts: dict[str, object], version: str) -> None:
    assert stored_version(facts) == version


def test_of_a_local_file_time_and_size(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12")
    os.utime(path, ns=(5, 7))
    assert local_version(path.stat()) == "7-2"
