"""What a dry run says about a cluster: its own measurements times the nodes, and what they cannot know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from jobs.cluster_plan import ClusterQuestion, plan_for_cluster
from jobs.dry_run import DryRun, dry_run
from jobs.spec import load_spec
from mue_model.config import ConfigError

PACED = 15.0


@pytest.fixture(scope="module")
def found(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> DryRun:
    """A model whose speed is known."""
    overrides = ["model=seeded", f"engine.rows_per_s={PACED}", "actors.max=4"]
    output = str(tmp_path_factory.mktemp("plan") / "out")
    return dry_run(load_spec(None, inputs=[str(labelled)], output=output, overrides=overrides), rows=4)


def test_a_device_of_known_speed_is_measured_right_and_multiplied(found: DryRun) -> None:
    assert found.sample.rows_per_s == pytest.approx(PACED, rel=0.25)
    plan = plan_for_cluster(found, ClusterQuestion(nodes=64, gpus=8, cpus=96, rows=10**9, price_per_node_hour=2.0))
    assert plan.shape.actors == 512
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


def test_without_gpus_the_jobs_own_actors_are_spread(found: DryRun) -> None:
    plan = plan_for_cluster(found, ClusterQuestion(nodes=2, cpus=8))
    assert (plan.shape.actors_per_node, plan.shape.gpus_per_node, plan.projection.gpu_hours) == (2, 0, 0)


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
    assert cluster["bound_by"] in ("read", "decode", "answer")
    assert set(cluster["occupancy"]) == {"cpu", "actors"}
    assert cluster["gpu_hours"] == pytest.approx(8 * cluster["node_hours"])
    assert cluster["cost"] == pytest.approx(30 * cluster["node_hours"])
    assert facts["estimate"]["cost"] is None, "the price was that of a node there, not of this machine"
