"""What a dry run says about a cluster: its own measurements times the nodes, and what they cannot know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from cluster.projection import START_S
from jobs.cluster_plan import ClusterQuestion, cluster_plan_rows, plan_for_cluster
from jobs.dry_run import DryRun, dry_run
from jobs.run import SEGMENT_SHARDS
from jobs.spec import load_spec
from mue_model.config import ConfigError

PACED = 15.0


@pytest.fixture(scope="module")
def found(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> DryRun:
    """A model whose speed is known."""
    overrides = ["model=seeded", f"engine.rows_per_s={PACED}", "actors.max=4"]
    output = str(tmp_path_factory.mktemp("plan") / "out")
    return dry_run(load_spec(None, inputs=[str(labelled)], output=output, overrides=overrides), rows=4)


def with_actors(found: DryRun, **settings: float) -> DryRun:
    """The same measurements for a job with other actors."""
    spec = found.job.spec
    other = spec.model_copy(update={"actors": spec.actors.model_copy(update=settings)})
    return replace(found, job=replace(found.job, spec=other))


def test_a_device_of_known_speed_is_measured_right_and_multiplied(found: DryRun) -> None:
    assert found.sample.rows_per_s == pytest.approx(PACED, rel=0.25)
    plan = plan_for_cluster(found, ClusterQuestion(nodes=64, gpus=8, cpus=96, rows=10**9, price_per_node_hour=2.0))
    assert plan.shape.actors == 512
    assert plan.needs == ("--actors 512: the job's settings say 4",)
    assert plan.projection.rows_per_s <= 512 * plan.times.rows_per_s_per_actor
    assert plan.projection.rows == 10**9
    assert plan.projection.cost == pytest.approx(2 * plan.projection.node_hours)
    assert any("--actor-rows-per-s" in text for text in plan.not_known), "a CPU's speed says nothing about a GPU"
    assert any("one driver" in text for text in plan.not_known)


def test_a_measured_speed_replaces_the_samples(found: DryRun) -> None:
    question = ClusterQuestion(nodes=2, gpus=4, cpus=32, rows_per_s_per_actor=1.0)
    plan = plan_for_cluster(found, question)
    assert (plan.projection.bound_by, plan.projection.rows_per_s) == ("answer", 8.0)
    assert plan.projection.rows == found.rows.rows
    assert not any("--actor-rows-per-s" in text or "one driver" in text for text in plan.not_known)
    assert any("cost" in text for text in plan.not_known)


@pytest.mark.parametrize("nodes", [1, 2, 3, 64])
def test_without_gpus_the_jobs_own_actors_are_spread(found: DryRun, nodes: int) -> None:
    plan = plan_for_cluster(found, ClusterQuestion(nodes=nodes, cpus=8))
    assert (plan.shape.actors, plan.shape.gpus_per_node, plan.projection.gpu_hours) == (4, 0, 0)
    assert plan.needs == ()
    assert plan.projection.rows_per_s <= 4 * plan.times.rows_per_s_per_actor


@pytest.mark.parametrize(
    ("settings", "actors"),
    [
        ({"num_gpus": 0.6}, 16),
        ({"num_gpus": 0.5}, 32),
        ({"num_gpus": 0.5, "num_cpus": 3}, 20),
        ({"num_gpus": 2}, 8),
        ({"num_gpus": 0}, 4),
        ({"num_gpus": 0, "num_cpus": 16}, 2),
    ],
)
def test_actors_are_those_that_ray_could_place(found: DryRun, settings: dict[str, float], actors: int) -> None:
    other = with_actors(found, **settings)
    assert plan_for_cluster(other, ClusterQuestion(nodes=2, gpus=8, cpus=31)).shape.actors == actors


def test_a_node_too_small_for_one_actor_is_refused(found: DryRun) -> None:
    with pytest.raises(ConfigError, match="0 actors"):
        plan_for_cluster(with_actors(found, num_gpus=9), ClusterQuestion(nodes=2, gpus=8))


def test_more_rows_lie_in_more_shards_and_every_segment_starts_its_actors(found: DryRun) -> None:
    assert plan_for_cluster(found, ClusterQuestion(nodes=1)).pools == 1
    rows = 3 * SEGMENT_SHARDS * found.rows.rows
    plan = plan_for_cluster(found, ClusterQuestion(nodes=1, rows=rows))
    assert plan.pools == 3, "the inputs are one shard"
    assert plan.projection.start_s == 3 * (START_S + plan.times.load_s)
    assert "3 pools of actors, one for every 1,000 shards of 16 rows" in dict(cluster_plan_rows(plan))["starts"]


def test_what_makes_no_sense_is_refused(found: DryRun, mue: Callable[..., Result]) -> None:
    with pytest.raises(ConfigError, match="--nodes"):
        plan_for_cluster(found, ClusterQuestion(nodes=0, gpus=1))
    refused = mue("plan", "a.tar", "--output", "out", "--gpus", "8")
    assert refused.exit_code == 2
    assert "add --nodes" in refused.stderr


def test_the_command_says_all_of_it(mue: Callable[..., Result], labelled: Path, tmp_path: Path) -> None:
    words = (
        "--model",
        "seeded",
        "--output",
        tmp_path / "out",
        "--sample",
        2,
        "--nodes",
        64,
        "--gpus",
        8,
        "--rows",
        "1e9",
    )
    facts = json.loads(mue("--json", "plan", labelled, *words, "--cpus", 96, "--price-per-hour", 30).stdout)
    cluster = facts["cluster"]
    assert cluster["rows"] == 10**9
    assert (cluster["shape"]["actors"], cluster["shape"]["actors_per_node"]) == (512, 8)
    assert cluster["needs"] == ["--actors 512: the job's settings say 1"]
    assert cluster["bound_by"] in ("read", "decode", "answer")
    assert set(cluster["occupancy"]) == {"cpu", "actors"}
    assert cluster["gpu_hours"] == pytest.approx(8 * cluster["node_hours"])
    assert cluster["cost"] == pytest.approx(30 * cluster["node_hours"])
    assert facts["estimate"]["cost"] is None, "the price was that of a node there, not of this machine"
