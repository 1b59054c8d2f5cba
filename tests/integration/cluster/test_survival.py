"""Jobs that share a cluster outlive its nodes, its head and the cluster itself. Minutes: `make cluster`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger
from pipeline.storage import Storage

GPU_NODE = {"num_cpus": 2, "num_gpus": 1}
HALF = ("--set", "actors.num_gpus=0.5", "--set", "engine.rows_per_s=0.15", "--actors", "1:2")


def actors_of(output: Path) -> set[str]:
    tables = Ledger(Storage.open(str(output))).read_live(columns=["actor"])
    return {actor for table in tables for actor in table["actor"].to_pylist() if actor}


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_two_jobs_on_shared_gpus_outlive_a_node_and_then_the_cluster(
    new_cluster: Callable[..., Any],
    corpus: Path,
    tmp_path: Path,
    await_that: Any,
    committed: Any,
    check_exactly_once: Any,
) -> None:
    user = new_cluster(num_cpus=2, num_gpus=0)
    nodes = [user.nodes.add(**GPU_NODE) for _ in range(2)]
    outputs = [tmp_path / name for name in ("one", "two")]
    for output in outputs:
        submitted = user.submit(corpus, output, *HALF)
        assert submitted.returncode == 0, submitted.stderr
    await_that(lambda: all(committed(output) >= 8 for output in outputs), deadline_s=900)

    scaled = json.loads(user.mue("--json", "scale", outputs[0], "--actors", "2:2", "--wait", 600).stdout)
    assert scaled["first_part_s"] is not None, scaled
    rows = [committed(output) for output in outputs]
    node = max(nodes, key=user.nodes.model_actors)
    lost = user.nodes.model_actors(node)
    assert lost, "the node that dies has actors"
    user.nodes.kill(node)
    user.nodes.add(**GPU_NODE)
    await_that(lambda: all(committed(o) > n for o, n in zip(outputs, rows, strict=True)), deadline_s=900)
    assert len(actors_of(outputs[0])) > 1, "the job that was resized had more than one"
    assert all(committed(output) < user.rows for output in outputs)

    user.nodes.kill(user.nodes.head)
    gone = user.mue("resume", outputs[0], timeout_s=900)
    assert gone.returncode == 1
    assert "no Ray answers" in gone.stderr
    user.nodes.close()

    other = new_cluster(num_cpus=3, num_gpus=4)
    for output in outputs:
        resumed = other.mue("resume", output, "--address", other.nodes.url, "--actors", 4, timeout_s=900)
        assert resumed.returncode == 0, resumed.stderr
    for output in outputs:
        await_that(lambda output=output: committed(output) == user.rows, deadline_s=900)
        await_that(
            lambda output=output: Ledger(Storage.open(str(output))).finalized(Ledger(Storage.open(str(output))).plan())
        )
        check_exactly_once(output, user.rows)
    print(json.dumps({"scaled": scaled, "rows_at_node_kill": rows, "actors_lost": lost}))
