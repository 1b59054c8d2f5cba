"""`make demo` as a newcomer sees it, from drawing to looking."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image


def test_the_demo_shows_captions_beside_references(
    tmp_path: Path, with_mue: dict[str, str], request: pytest.FixtureRequest
) -> None:
    script = Path(request.config.rootpath) / "demo" / "run.sh"
    done = subprocess.run(
        ["bash", str(script), "out"], cwd=tmp_path, env=with_mue, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "failed rows: 2, bad shards: 0" in done.stderr, "the images that were broken on purpose"
    lines = re.findall(r"^([1-5]) +\S.* ([=x]) +\S", done.stdout, re.M)
    assert {level for level, _ in lines} == set("12345")
    right = {mark for level, mark in lines if level == "1"}
    assert "=" in right, "the model names single things"
    assert "depth beside difficulty" in done.stdout
    with Image.open(tmp_path / "out" / "look.png") as sheet:
        assert min(sheet.size) > 1000
    assert "out/job/manifest.json" in done.stdout.splitlines()[-2]
