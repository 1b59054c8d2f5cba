"""GPUs of all nodes are counted once each, and a part of them is never the energy of the job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.gpu_energy import GpuEnergy, gpu_energy
from pipeline.actor_tally import ActorTally
from pipeline.storage import Storage


@pytest.fixture
def wrote(tmp_path: Path) -> Callable[..., None]:
    """Have a process leave its record: `first` and `last` are its GPU's counter in millijoules."""

    def write(
        name: str, *, node: str, gpu: str | None, first: int | None = 0, last: int | None = 0, **more: Any
    ) -> None:
        readings = iter([first, last])
        tally = ActorTally(
            attempt=more.get("attempt", "a1"),
            actor=name,
            purpose=more.get("purpose", "run"),
            node=node,
            gpu_counters=lambda: {gpu or "": reading} if (reading := next(readings)) is not None else {},
        )
        tally.loaded(load_s=1, warm_up_s=1, device="cuda:0" if gpu else "cpu", threads=1, gpu=gpu)
        lines = "".join(json.dumps(line) + "\n" for line in tally.lines())
        Storage.open(str(tmp_path)).write(f"metrics/a1-{name}.jsonl", lines.encode())

    return write


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., GpuEnergy]:
    return lambda unknown=0: gpu_energy(Storage.open(str(tmp_path)), processes_unknown=unknown)


def test_gpus_of_all_nodes_add_up(wrote: Callable[..., None], found: Callable[..., GpuEnergy]) -> None:
    wrote("x", node="n1", gpu="GPU-a", first=1000, last=4000)
    wrote("y", node="n2", gpu="GPU-b", first=7000, last=7500)
    wrote("z", node="n2", gpu=None)
    energy = found()
    assert (energy.joules, energy.joules_counted) == (3.5, None)
    assert energy.scope == "2 nodes, 2 model processes"


def test_a_gpu_that_processes_share_counts_once_an_attempt(
    wrote: Callable[..., None], found: Callable[..., GpuEnergy]
) -> None:
    wrote("x", node="n1", gpu="GPU-a", first=1000, last=4000)
    wrote("y", node="n1", gpu="GPU-a", first=1500, last=4500)
    wrote("restarted", node="n1", gpu="GPU-a", first=5000, last=6000)
    assert found().joules == 5
    wrote("later", node="n1", gpu="GPU-a", first=9000, last=9250, attempt="a2")
    assert found().joules == 5.25, "between two attempts it was not the job's"
    wrote("audit", node="n1", gpu="GPU-a", first=9300, last=9900, purpose="audit")
    assert found().joules == 5.25


@pytest.mark.parametrize("lacking", [{"first": None}, {"last": None}, {"first": 5000, "last": 10}])
def test_one_node_without_a_count_makes_the_energy_unknown(
    wrote: Callable[..., None], found: Callable[..., GpuEnergy], lacking: dict[str, int | None]
) -> None:
    wrote("x", node="n1", gpu="GPU-a", first=1000, last=4000)
    wrote("y", node="n2", gpu="GPU-b", **lacking)
    wrote("z", node="n3", gpu="GPU-c", first=5000, last=10)
    energy = found()
    assert (energy.joules, energy.joules_counted) == (None, 3)
    assert energy.scope == "1 of 3 nodes, 1 of 3 model processes"


def test_a_process_without_a_record_makes_the_energy_unknown(
    wrote: Callable[..., None], found: Callable[..., GpuEnergy]
) -> None:
    wrote("x", node="n1", gpu="GPU-a", first=1000, last=4000)
    energy = found(unknown=2)
    assert (energy.joules, energy.joules_counted) == (None, 3)
    assert energy.scope.endswith("; 2 model processes left no record of where they ran")


def test_where_nothing_is_counted_it_is_said_why(wrote: Callable[..., None], found: Callable[..., GpuEnergy]) -> None:
    assert found() == GpuEnergy(joules=None, joules_counted=None, scope="no model process left a record")
    assert found(unknown=1).scope == "1 model process left no record of where it ran"
    wrote("z", node="n1", gpu=None)
    assert found().scope == "no model process ran on a GPU"
    wrote("x", node="n1", gpu="GPU-a", first=None)
    assert found() == GpuEnergy(joules=None, joules_counted=None, scope="no model process has one")
