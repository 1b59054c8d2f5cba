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
        ({"shared_path": "/dev/./shm"}, "absolute path"),
        ({"shared_path": "/mnt/a:b"}, "no ':' in the path of a mount"),
        ({"shared_path": "/dev/shm"}, "elsewhere"),
        ({"shared_path": "/etc"}, "elsewhere"),
        ({"shared_path": "/etc/mue/data"}, "elsewhere"),
        ({"shared_path": "/usr"}, "elsewhere"),
        ({"shared_path": "/usr/local/lib"}, "elsewhere"),
        ({"shared_path": "/lib"}, "elsewhere"),
        ({"shared_path": "/opt/mue"}, "elsewhere"),
        ({"shared_path": "/opt"}, "elsewhere"),
        ({"shared_path": "/home"}, "elsewhere"),
        ({"shared_path": "/home/mue"}, "elsewhere"),
        ({"shared_path": "/run/secrets/kubernetes.io"}, "elsewhere"),
        ({"shared_path": "/var/run"}, "elsewhere"),
        ({"shared_path": "/run"}, "elsewhere"),
        ({"image": "localhost:99999/mue:1"}, "99999 is no port"),
        ({"image": "localhost:0/mue:1"}, "0 is no port"),
        ({"head": {"memory_gib": 1}}, "equal to 2"),
        ({"head": {"cpus": True}}, "expected a number"),
        ({"head": {"memory_gib": True}}, "expected a number"),
        ({"idle_s": True}, "expected a number"),
        ({"groups": [{"name": "a", "gpus": True}]}, "expected a number"),
        ({"groups": [{"name": "headgroup"}]}, "calls the head so"),
        ({"groups": [{"name": "a", "gpu_resource": "kubernetes.io/gpu"}]}, "no extended resource"),
        ({"groups": [{"name": "a", "gpu_resource": "x.kubernetes.io/gpu"}]}, "no extended resource"),
        ({"groups": [{"name": "a", "gpu_resource": "requests.nvidia.com/gpu"}]}, "no extended resource"),
        ({"groups": [{"name": "a", "gpu_resource": f"{'a.' * 122}a/gpu"}]}, "more than 244"),
        ({"shared_path": "/tmp"}, "elsewhere"),
        ({"image": "mue:"}, "expected an image"),
        ({"image": "registry.example.com:/mue:1"}, "expected an image"),
        ({"image": "registry..example.com/mue:1"}, "expected an image"),
        ({"image": "/mue:1"}, "expected an image"),
        ({"image": "a//mue:1"}, "expected an image"),
        ({"image": "mue:1@sha256:abc"}, "expected an image"),
        ({"groups": [{"name": "a", "gpu_resource": "nvidia..com/gpu"}]}, "no key"),
        ({"groups": [{"name": "a", "gpu_resource": "nvidia.-com/gpu"}]}, "no key"),
        ({"groups": [{"name": "a", "taints": [f"{'a.' * 126}aa/b"]}]}, "no key"),
        ({"ray_version": "2.60.0\nfoo: bar"}, "pattern"),
        ({"ray_version": "\u0662.\u0666\u0660.0"}, "pattern"),
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
        ({"namespace": ""}, "at most 63"),
        ({"env_secret": ""}, "at most 63"),
        ({"slurm": {"account": ""}}, "one word"),
        ({"slurm": {"work_folder": ""}}, "absolute path"),
        ({"groups": [{"name": "a", "cpus": 0.0001}]}, "0.001"),
        ({"ray_version": "2.51.0"}, "2.60"),
    ],
)
def test_what_is_hostile_or_cannot_work_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ClusterSpec.model_validate(settings)


@pytest.mark.parametrize(
    "image",
    [
        "mue:0.1.0",
        "team/mue:1",
        "my_team/mue__x:1",
        "localhost:5000/mue:A_b-1.2",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/a--b.c:v1",
        "europe-docker.pkg.dev/project/repo/mue:latest@sha256:" + "0" * 64,
    ],
)
def test_images_are_called_as_registries_call_them(image: str) -> None:
    assert ClusterSpec(image=image).image == image


def test_volumes_may_lie_beside_what_pods_have() -> None:
    for path in (
        "/mnt/shared",
        "/tmp/rays",
        "/data",
        "/opt/models",
        "/home/mue/data",
        "/home/mues",
        "/usrx",
        "/var/lib/x",
    ):
        assert ClusterSpec(shared_path=path).shared_path == path
    assert NodeGroup(name="a", gpu_resource=f"{'a.' * 121}ab/gpu").gpus == 0
    assert NodeGroup(name="head", spot=True).spot
    assert ClusterSpec(image="localhost:65535/mue:1").image.startswith("localhost:65535")


def test_frozen_and_with_room_for_processes() -> None:
    group = NodeGroup(name="a", memory_gib=2)
    with pytest.raises(ValidationError, match="frozen"):
        group.cpus = 2
    assert NodeGroup(name="a", memory_gib=64).object_store_gib == 19
    assert 0 < ClusterSpec(grace_s=30).drain_s < 30
    assert ClusterSpec(image="localhost:5000/mue@sha256:" + "a" * 64).image.startswith("localhost")
