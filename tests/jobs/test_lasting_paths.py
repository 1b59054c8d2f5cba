from __future__ import annotations

from pathlib import Path

import pytest

from jobs.lasting_paths import with_lasting_paths
from jobs.spec import load_spec
from pipeline.storage import Storage


def test_paths_become_absolute_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/u")
    inputs = ["rel/*.tar", "~/a.tar", "/data/{0..9}.tar", "s3://in/a.tar"]
    spec = with_lasting_paths(load_spec(None, inputs=inputs, output="out/", overrides=["model=m"]))
    assert spec.inputs.urls == (f"{tmp_path}/rel/*.tar", "/home/u/a.tar", "/data/{0..9}.tar", "s3://in/a.tar")
    assert (spec.output.url, spec.model) == (f"{tmp_path}/out", f"{tmp_path}/m")
    assert with_lasting_paths(spec) == spec


@pytest.mark.parametrize("url", ["out", "~/out", "/a/../b/", "file:///a/out/", "s3://bucket/run/"])
def test_an_output_is_called_as_its_storage_calls_it(url: str) -> None:
    spec = load_spec(None, inputs=["a.tar"], output=url, overrides=[])
    assert with_lasting_paths(spec).output.url == Storage.open(url).url
