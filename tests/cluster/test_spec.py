"""Cluster specs: what could break out of a manifest or cannot work is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.spec import ClusterSpec, NodeGroup


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"name": "a\nkind: Secret"}, "lower-case letters"),
        ({"name": "a" * 48}, "at most 47"),
        ({"namespace": "kube system"}, "at most 63"),
        ({"image": "evil:1 --privileged"}, "expected an image"),
        ({"image": "registry.example.com/mue"}, "a tag or a digest"),
        ({"image": "registry.example.com/mue:latest"}, "a tag or a digest"),
        ({"image": "registry.example.com:5000/mue"}, "a tag or a digest"),
        ({"env_secret": "x: y"}, "lower-case letters"),
        ({"shared_path": "/a/../etc"}, "absolute path"),
        ({"shared_path": "/a b"}, "absolute path"),
        ({"ray_version": "2.60.0\nfoo: bar"}, "pattern"),
        ({"grace_s": 5}, "30"),
        ({"deadline_h": float("nan")}, "finite"),
        ({"head": {"node_selector": {"a": "b: c"}}}, "no value of a label"),
        ({"head": {"node_selector": {"a b": "c"}}}, "no key of a label"),
        ({"groups": []}, "at least 1"),
        ({"groups": [{"name": "a"}, {"name": "a"}]}, "two are called a"),
        ({"groups": [{"name": "a", "gpu_resource": "gpu"}]}, "no extended resource"),
        ({"groups": [{"name": "a", "taints": ["x y"]}]}, "no key"),
        ({"groups": [{"name": "a", "nodes_min": 3, "nodes_max": 2}]}, "below nodes_min"),
        ({"groups": [{"name": "a", "memory_gib": 8, "shm_gib": 6}]}, "more than half"),
        ({"slurm": {"partition": "gpu\n#SBATCH --uid=0"}}, "one word"),
        ({"slurm": {"account": "--x"}}, "one word"),
        ({"slurm": {"activate": "/x; rm -rf /"}}, "absolute path"),
        ({"slurm": {"work_folder": "$(id)"}}, "absolute path"),
        ({"token_auth": False}, "Extra inputs"),
    ],
)
def test_what_is_hostile_or_cannot_work_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ClusterSpec.model_validate(settings)


def test_frozen_and_with_room_for_processes() -> None:
    group = NodeGroup(name="a", memory_gib=2)
    with pytest.raises(ValidationError, match="frozen"):
        group.cpus = 2
    assert NodeGroup(name="a", memory_gib=64).object_store_gib == 19
    assert 0 < ClusterSpec(grace_s=30).drain_s < 30
    assert ClusterSpec(image="localhost:5000/mue@sha256:" + "a" * 64).image.startswith("localhost")
