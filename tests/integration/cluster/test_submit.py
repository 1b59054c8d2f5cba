"""A job on a real cluster: handed over to a job server that wants a token, resized, stopped, resumed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.kuberay import JOB_FOLDER, ray_job
from cluster.spec import ClusterSpec
from pipeline.ledger import Ledger
from pipeline.storage import Storage


@pytest.mark.timeout(3000)
def test_a_job_is_submitted_resized_stopped_and_resumed(
    user: Any, corpus: Path, tmp_path: Path, await_that: Any, committed: Any, check_exactly_once: Any
) -> None:
    output = tmp_path / "out"
    refused = user.mue("submit", f"{corpus}/*.tar", "--output", output, "--address", user.nodes.url, token=False)
    assert refused.returncode == 1
    assert "token" in refused.stderr

    submitted = user.submit(corpus, output, "--set", "engine.rows_per_s=0.6", "--actors", "1")
    assert submitted.returncode == 0, submitted.stderr
    facts = json.loads(submitted.stdout)
    assert facts["submission_id"].startswith("out-")
    assert facts["submission_id"].endswith("-1")
    await_that(lambda: committed(output) >= 8)
    again = user.submit(corpus, output)
    assert again.returncode == 1
    assert "is being worked on" in again.stderr

    scaled = json.loads(user.mue("--json", "scale", output, "--actors", "2:2", "--wait", 400).stdout)
    assert scaled["ended"] is False
    assert 0 < scaled["in_force_s"] <= scaled["first_part_s"]
    shrunk = json.loads(user.mue("--json", "scale", output, "--actors", "1:1", "--wait", 400).stdout)
    assert (shrunk["ended"], 0 < shrunk["in_force_s"] <= shrunk["first_part_s"]) == (False, True)
    cancelled = json.loads(user.mue("--json", "cancel", output, "--wait", 300).stdout)
    assert cancelled["ended_s"] is not None
    rows = committed(output)
    assert 8 < rows < user.rows
    actors = {row["actor"] for table in Ledger(Storage.open(str(output))).read_live() for row in table.to_pylist()}
    assert len(actors) == 4, "one at first, then two others, then one again"

    resumed = user.mue("--json", "resume", output, "--actors", 2, "--wait", timeout_s=1400)
    assert resumed.returncode == 0, resumed.stderr
    facts = json.loads(resumed.stdout)
    assert (facts["exit_code"], facts["submission_id"][-2:]) == (0, "-2")
    check_exactly_once(output, user.rows)

    # Nodes export their processes' numbers every few seconds.
    await_that(lambda: "mue_rows ok" in user.nodes.metrics())
    names = {name.split()[0] for name in user.nodes.metrics()}
    assert {"mue_rows", "mue_tokens", "mue_exits", "mue_occupancy"} <= names
    first, last = (user.mue("logs", output, "-n", number).stdout for number in (1, 2))
    assert [f"the job goes on with {size} actor" in first for size in ("2 to 2", "1 to 1")] == [True, True]
    assert [line for line in first.splitlines() if line.startswith("{")], "one JSON object a line"
    assert "rows are in" in last


@pytest.mark.timeout(900)
def test_a_jobs_own_exit_code_comes_back(user: Any, corpus: Path, tmp_path: Path, committed: Any) -> None:
    (tmp_path / "in").mkdir()
    whole = (corpus / "00000.tar").read_bytes()
    (tmp_path / "in" / "00000.tar").write_bytes(whole[: len(whole) // 2])
    done = user.submit(tmp_path / "in", tmp_path / "out", "--wait")
    assert done.returncode == 3, done.stderr
    assert "mue logs" in done.stderr
    assert 10 < committed(tmp_path / "out") < 30, "the good rows are kept"


@pytest.mark.timeout(900)
def test_a_rayjob_is_not_run_again_where_that_would_change_nothing(user: Any, corpus: Path, tmp_path: Path) -> None:
    """What KubeRay's submitter runs, with a RayJob's entrypoint: of how jobs end, KubeRay retries FAILED alone."""
    (tmp_path / "in").mkdir()
    whole = (corpus / "00000.tar").read_bytes()
    (tmp_path / "in" / "00000.tar").write_bytes(whole[: len(whole) // 2])
    ended = {}
    for name, url in (
        ("budget", f"{tmp_path}/in/*.tar"),
        ("usage", f"{tmp_path}/no/*.tar"),
        ("ok", f"{corpus}/00000.tar"),
    ):
        job = {"inputs": {"urls": [url]}, "output": {"url": str(tmp_path / name)}, "model": "seeded"}
        config, manifest = ray_job(ClusterSpec(), run=name, job_yaml=yaml.safe_dump(job), output=str(tmp_path / name))
        (tmp_path / "job.yaml").write_text(config["data"]["job.yaml"])
        entrypoint = manifest["spec"]["entrypoint"].replace(f"{JOB_FOLDER}/", f"{tmp_path}/")
        done = user.ray("job", "submit", "--submission-id", f"rayjob-{name}", "--", *entrypoint.split())
        ended[name] = (done.returncode, re.findall(f"Job 'rayjob-{name}' (was stopped|failed|succeeded)", done.stdout))
        assert name == "ok" or "another cluster would end the same way" in done.stdout, done.stdout + done.stderr
    assert ended == {"budget": (0, ["was stopped"]), "usage": (0, ["was stopped"]), "ok": (0, ["succeeded"])}
    [attempt] = json.loads((tmp_path / "budget" / "run.json").read_text())["attempts"]
    assert attempt["exit_code"] == 3, "the output folder tells how it ended"
