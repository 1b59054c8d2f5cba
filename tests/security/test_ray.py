"""The Ray that a job on this machine starts: no dashboard, and a token where nobody switched it off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, os, ray, sys
from jobs.ray_session import ray_session
with ray_session(num_cpus=1):
    node = ray._private.worker._global_node
    found = {"dashboard": node.webui_url or "", "mode": os.environ.get("RAY_AUTH_MODE", "")}
    print(json.dumps(found), file=sys.__stdout__)
"""


@pytest.mark.timeout(300)
def test_a_local_job_has_no_dashboard_and_leaves_the_mode_of_authentication_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("f" * 64)
    environment = {key: value for key, value in os.environ.items() if key not in ("RAY_AUTH_MODE", "RAY_ADDRESS")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"dashboard": "", "mode": "token"}
