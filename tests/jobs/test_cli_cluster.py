from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml
from typer.testing import Result


def test_a_profile_is_edited_and_rendered(mue: Callable[..., Result], tmp_path: Path) -> None:
    printed = mue("cluster", "init", "--profile", "gpu-spot")
    assert printed.exit_code == 0
    path = tmp_path / "cluster.yaml"
    path.write_text(printed.stdout.replace("name: mue\n", "name: mine\n"))
    found = mue("cluster", "render", "raycluster", "--cluster", path, "--set-cluster", "idle_s=7")
    document = yaml.safe_load(found.stdout)
    assert (document["kind"], document["metadata"]["name"]) == ("RayCluster", "mine")
    assert document["spec"]["autoscalerOptions"]["idleTimeoutSeconds"] == 7


def test_what_is_wrong_is_said_in_one_line(mue: Callable[..., Result]) -> None:
    found = mue("cluster", "render", "rayjob", "a.tar", "--output", "s3://out/run")
    assert found.exit_code == 2
    assert found.stdout == ""
    assert "no pod can open it" in found.stderr
    assert mue("cluster", "render", "nomad").exit_code == 2
