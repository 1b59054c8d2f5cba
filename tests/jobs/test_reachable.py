from __future__ import annotations

import pytest

from jobs.reachable import lies_under, local_paths, named
from jobs.spec import load_spec


def test_paths_are_told_from_urls_and_from_models_that_ship() -> None:
    spec = load_spec(None, inputs=["s3://in/a.tar", "b.tar", "file:///c.tar"], output="out", overrides=["model=m/ofa"])
    assert [(path.key, path.path) for path in local_paths(spec)] == [
        ("output.url", "out"),
        ("inputs.urls", "b.tar"),
        ("inputs.urls", "/c.tar"),
        ("model", "m/ofa"),
    ]
    assert named(local_paths(spec)).endswith("inputs.urls = /c.tar and 1 more")
    assert local_paths(load_spec(None, inputs=["https://h/a.tar"], output="gs://b/out", overrides=[])) == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("local:///mnt/a.tar", "/mnt/a.tar"),
        ("FILE:///mnt/a.tar", "/mnt/a.tar"),
        ("simplecache::file:///mnt/a.tar", "/mnt/a.tar"),
        ("zip://a.tar::/mnt/b.zip", "/mnt/b.zip"),
        ("/mnt/a::b/c.tar", "/mnt/a::b/c.tar"),
        ("simplecache::s3://b/a.tar", None),
        ("zip://a.tar::https://h/b.zip", None),
    ],
)
def test_every_way_to_name_this_machine_is_known(url: str, path: str | None) -> None:
    spec = load_spec(None, inputs=[url], output="s3://b/out", overrides=[])
    assert [found.path for found in local_paths(spec)] == ([] if path is None else [path])


@pytest.mark.parametrize(
    ("path", "inside"),
    [("/mnt/a/b", True), ("/mnt/a", True), ("/mnt/ab", False), ("/mnt/a/../b", False), ("mnt/a", False)],
)
def test_lies_under(path: str, inside: bool) -> None:
    assert lies_under(path, "/mnt/a") is inside
