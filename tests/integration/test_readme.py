"""The commands that the README tells a newcomer to type, typed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DrawShard = Callable[..., dict[str, bytes]]
MARK = "<!-- these lines are run by tests/integration/test_readme.py -->\n```sh\n"


def test_the_first_run_of_the_readme_works(
    tmp_path: Path, draw_shard: DrawShard, with_mue: dict[str, str], request: pytest.FixtureRequest
) -> None:
    readme = (Path(request.config.rootpath) / "README.md").read_text("utf-8")
    commands = readme.split(MARK)[1].split("```")[0].splitlines()
    assert len(commands) >= 5
    (tmp_path / "shards").mkdir()
    for number in range(4):
        draw_shard(tmp_path / "shards" / f"{number:05d}.tar", 5, seed=number)
    for command in commands:
        assert re.match(r"mue \w+", command)
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=with_mue, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert len((tmp_path / "captions.jsonl").read_text("utf-8").splitlines()) == 20
