from __future__ import annotations

from pathlib import Path

import pytest

from jobs.own_job import same_folder


def test_a_path_that_leads_to_the_folder_names_it(tmp_path: Path) -> None:
    here = tmp_path / "out"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    for spelled in (str(here), f"{here}/", f"file://{here}", f"{tmp_path}/x/../out", str(tmp_path / "link")):
        (tmp_path / "x").mkdir(exist_ok=True)
        assert same_folder(spelled, str(here)), spelled
    (tmp_path / "other").mkdir()
    for other in (tmp_path / "other", tmp_path / "gone", tmp_path, "out", "", "/", "\0"):
        assert not same_folder(str(other), str(here)), other
    assert same_folder(str(tmp_path / "gone"), str(tmp_path / "gone")), "of a folder that is not there yet"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("s3://b/out", "s3://b/out/", True),
        ("s3a://b/out", "s3://b/out", True),
        ("s3://b/out", "s3://b/out2", False),
        ("s3://b/out", "gs://b/out", False),
        ("s3://b/out", "/b/out", False),
    ],
)
def test_urls_are_compared_as_they_are_spelled(one: str, other: str, same: bool) -> None:
    assert same_folder(one, other) is same
