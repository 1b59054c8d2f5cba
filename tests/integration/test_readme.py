"""The commands that the README tells a newcomer to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DrawShard = Callable[..., dict[str, bytes]]
MARK = "<!-- these lines are run by tests/integration/test_readme.py -->\n```sh\n"


def test_the_first_run_of_the_readme_works(
    tmp_path: Path, draw_shard: DrawShard, request: pytest.FixtureRequest
) -> None:
    readme = (Path(request.config.rootpath) / "README.md").read_text("utf-8")
    commands = readme.split(MARK)[1].split("```")[0].splitlines()
    assert len(commands) >= 5
    (tmp_path / "shards").mkdir()
    for number in range(4):
        draw_shard(tmp_path / "shards" / f"{number:05d}.tar", 5, seed=number)
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "mue"
    script.write_text(f"#!{sys.executable}\nfrom jobs.cli import main\nmain()\n")
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        assert re.match(r"mue \w+", command)
        environment = {**os.environ, "PATH": path, "RAY_AUTH_MODE": "disabled"}
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert len((tmp_path / "captions.jsonl").read_text("utf-8").splitlines()) == 20
