from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.projection import START_S, ClusterShape, StageTimes, actors_on_gpus, project

TIMES = StageTimes(read_ms=1.0, decode_ms=4.0, rows_per_s_per_actor=100.0, load_s=20.0)
SHAPE = ClusterShape(
    nodes=64, cpus_per_node=96, gpus_per_node=8, actors=512, cpus_per_actor=1.0, price_per_node_hour=30.0
)

times = st.builds(
    StageTimes,
    read_ms=st.floats(0.01, 100),
    decode_ms=st.floats(0.01, 100),
    rows_per_s_per_actor=st.floats(0.01, 1e4),
    load_s=st.floats(0, 100),
)
shapes = st.builds(
    ClusterShape,
    nodes=st.integers(1, 1000),
    cpus_per_node=st.integers(1, 256),
    gpus_per_node=st.integers(0, 16),
    actors=st.integers(1, 32_000),
    cpus_per_actor=st.floats(0, 8),
)


def test_a_billion_rows_on_512_gpus_by_hand() -> None:
    found = project(10**9, TIMES, SHAPE)
    # 64 x 88 CPUs prepare 200 rows/s each, 512 actors answer 100 each.
    assert (found.bound_by, found.rows_per_s) == ("answer", 51_200)
    assert found.wall_s == pytest.approx(START_S + 20 + 10**9 / 51_200)
    assert found.occupancy == {"cpu": pytest.approx(51_200 / (64 * 88 * 200)), "actors": 1.0}
    assert found.gpu_hours == pytest.approx(512 * found.wall_s / 3600)
    assert found.cost == pytest.approx(64 * 30 * found.wall_s / 3600)
    assert found.cpus_per_node_for_full_actors == pytest.approx(8 * 100 / 200 + 8)


@pytest.mark.parametrize(("read_ms", "decode_ms", "bound"), [(1.0, 400.0, "decode"), (400.0, 1.0, "read")])
def test_names_the_stage_that_keeps_gpus_waiting(read_ms: float, decode_ms: float, bound: str) -> None:
    found = project(10**6, replace(TIMES, read_ms=read_ms, decode_ms=decode_ms), SHAPE)
    assert found.bound_by == bound
    assert found.occupancy["cpu"] == 1.0
    assert found.occupancy["actors"] < 0.5
    enough = replace(SHAPE, cpus_per_node=int(found.cpus_per_node_for_full_actors) + 1)
    assert project(10**6, replace(TIMES, read_ms=read_ms, decode_ms=decode_ms), enough).bound_by == "answer"


@given(st.integers(1, 10**12), times, shapes)
def test_the_bound_stage_is_full_and_none_is_fuller(rows: int, measured: StageTimes, shape: ClusterShape) -> None:
    found = project(rows, measured, shape)
    busy = found.occupancy["actors" if found.bound_by == "answer" else "cpu"]
    assert busy == pytest.approx(1.0)
    assert max(found.occupancy.values()) <= 1.0 + 1e-9
    assert found.cost is None


@given(st.integers(1, 10**12), times, shapes)
def test_twice_the_nodes_are_never_slower_and_twice_as_fast_at_best(
    rows: int, measured: StageTimes, shape: ClusterShape
) -> None:
    double = replace(shape, nodes=2 * shape.nodes, actors=2 * shape.actors)
    one, two = project(rows, measured, shape), project(rows, measured, double)
    assert two.rows_per_s == pytest.approx(2 * one.rows_per_s)
    assert two.wall_s <= one.wall_s
    assert two.node_hours >= one.node_hours * (1 - 1e-9), "more nodes cost no less"


def test_actors_that_no_node_has_as_many_of_as_another_all_count() -> None:
    shape = replace(SHAPE, nodes=3, actors=8)
    assert project(10**6, TIMES, shape).rows_per_s == pytest.approx(800)
    assert shape.actors_per_node == pytest.approx(8 / 3)
    few = project(10**6, TIMES, replace(SHAPE, actors=8))
    assert few.rows_per_s == pytest.approx(800), "most nodes have none"


def test_every_pool_takes_its_time_to_start() -> None:
    one, many = project(10**6, TIMES, SHAPE), project(10**6, TIMES, SHAPE, pools=100)
    assert (one.start_s, many.start_s) == (START_S + 20, 100 * (START_S + 20))
    assert many.wall_s - one.wall_s == pytest.approx(99 * (START_S + 20))
    assert many.node_hours > one.node_hours


@pytest.mark.parametrize(
    ("gpus_per_actor", "actors"),
    [(1, 8), (2, 4), (3, 2), (16, 0), (0.5, 16), (0.6, 8), (0.4, 16), (0.3, 24), (0.1, 80)],
)
def test_no_actor_has_parts_of_two_gpus(gpus_per_actor: float, actors: int) -> None:
    assert actors_on_gpus(8, gpus_per_actor) == actors


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="need more"):
        project(0, TIMES, SHAPE)
    with pytest.raises(ValueError, match="need more"):
        project(1, replace(TIMES, rows_per_s_per_actor=0), SHAPE)
    with pytest.raises(ValueError, match="at least one node"):
        replace(SHAPE, nodes=0)
    with pytest.raises(ValueError, match="more than 1,000,000 nodes"):
        replace(SHAPE, nodes=10**400)
    with pytest.raises(ValueError, match="at most 1,000,000,000,000,000 rows"):
        project(10**400, TIMES, SHAPE)
    with pytest.raises(ValueError, match="at least 1e-09 rows/s"):
        project(1, replace(TIMES, rows_per_s_per_actor=1e-320), SHAPE)
