"""The commands of docs/laptop.md, typed as they stand."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.timeout(600)
def test_the_page_about_one_machine_is_right(
    with_mue: dict[str, str], draw_shard: Callable[..., Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = (request.config.rootpath / "docs" / "laptop.md").read_text("utf-8")
    script = "".join(re.findall(r"<!-- run -->\n```sh\n(.*?)```", page, re.DOTALL))
    assert script.count("mue ") >= 8
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        draw_shard(tmp_path / "shards" / f"{shard:05d}.tar", 3, seed=shard)
    done = subprocess.run(
        ["bash", "-exuo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=with_mue,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "finished" in done.stdout
