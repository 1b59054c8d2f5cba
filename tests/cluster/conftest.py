"""One cluster that sets nearly everything, and the commands' golden files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.spec import ClusterSpec, HeadNode, NodeGroup, SlurmConfig

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "cluster"


@pytest.fixture
def full() -> ClusterSpec:
    """Two groups, and every optional setting."""
    return ClusterSpec(
        name="captions",
        namespace="vision",
        image="registry.example.com/team/mue:0.1.0",
        head=HeadNode(cpus=1.5, memory_gib=8, node_selector={"pool": "steady"}),
        groups=(
            NodeGroup(name="decode", nodes_min=1, nodes_max=4, cpus=16, memory_gib=64),
            NodeGroup(
                name="gpu",
                nodes_max=16,
                cpus=8,
                memory_gib=32,
                shm_gib=8,
                gpus=1,
                spot=True,
                taints=("example.com/dedicated",),
                node_selector={"cloud.google.com/gke-accelerator": "nvidia-l4"},
            ),
        ),
        deadline_h=36.5,
        env_secret="object-store",
        service_account="mue-job",
        shared_claim="corpus",
        shared_path="/mnt/corpus",
        slurm=SlurmConfig(partition="gpu", account="proj-1", activate="/opt/mue/bin/activate", shared_folder="/home/u"),
    )


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with a file; `MUE_WRITE_GOLDEN=1` writes it anew."""

    def check(name: str, text: str) -> None:
        if os.environ.get("MUE_WRITE_GOLDEN"):
            GOLDEN.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(text, "utf-8")
        assert text == (GOLDEN / name).read_text("utf-8")

    return check
