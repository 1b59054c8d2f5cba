from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.local import ACTOR_GIB, DECODE_CPUS, READ_CPUS, WRITE_CPUS, actor_threads, local_layout, torch_threads

machines = given(st.integers(1, 512), st.integers(0, 16), st.floats(0.1, 4096) | st.just(math.inf))


@machines
def test_never_asks_for_more_than_is_there(cores: int, gpus: int, memory_gib: float) -> None:
    layout = local_layout(cores, gpus, memory_gib)
    assert layout.ray_num_cpus <= cores
    assert layout.actors * layout.gpus_per_actor <= gpus
    assert layout.actors == 1 or layout.actors * ACTOR_GIB <= memory_gib
    assert layout.actors * layout.torch_threads <= max(cores, layout.actors)


@machines
def test_always_leaves_cpus_for_reads_decodes_and_writes(cores: int, gpus: int, memory_gib: float) -> None:
    layout = local_layout(cores, gpus, memory_gib)
    held = layout.actors * layout.cpus_per_actor + READ_CPUS + WRITE_CPUS + layout.decode_concurrency * DECODE_CPUS
    assert layout.actors >= 1
    assert layout.decode_concurrency >= 1
    assert layout.cpus_per_actor >= 0
    assert held <= layout.ray_num_cpus + 1e-9


@given(st.integers(1, 512), st.integers(0, 16))
def test_more_memory_never_means_fewer_actors(cores: int, gpus: int) -> None:
    actors = [local_layout(cores, gpus, memory_gib).actors for memory_gib in (1, 4, 16, 64, 256, math.inf)]
    assert actors == sorted(actors)


def test_two_cores_hold_one_actor_with_both_threads() -> None:
    layout = local_layout(2, 0, 16)
    assert (layout.actors, layout.torch_threads, layout.cpus_per_actor, layout.decode_concurrency) == (1, 1, 0.5, 2)


def test_every_gpu_gets_one_actor_while_the_cores_last() -> None:
    assert local_layout(16, 8, 256).actors == 8
    assert local_layout(4, 8, 256).actors == 4
    assert local_layout(16, 1, 128).gpus_per_actor == 1.0


@pytest.mark.parametrize(("cores", "gpus", "memory_gib"), [(0, 0, 8), (2, -1, 8), (2, 0, 0), (2, 0, math.nan)])
def test_an_impossible_machine_is_refused(cores: int, gpus: int, memory_gib: float) -> None:
    with pytest.raises(ValueError, match="need a core"):
        local_layout(cores, gpus, memory_gib)


@given(st.lists(st.integers(1, 256), min_size=1, max_size=20), st.integers(1, 500))
def test_threads_of_actors_on_several_nodes_fit_them(node_cpus: list[int], actors: int) -> None:
    threads = actor_threads(node_cpus, actors)
    assert 1 <= threads <= max(1, max(node_cpus) - 1)
    assert threads == 1 or threads * actors <= sum(node_cpus) - len(node_cpus)
    if len(node_cpus) == 1:
        assert threads == torch_threads(node_cpus[0], actors)
