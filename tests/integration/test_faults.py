"""`benchmarks/faults.py` itself: it kills what it says it kills, and a fault in the output does not escape it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 840


def _faults(
    log: Path, rootpath: Path, *arguments: str, deadline_s: float = DEADLINE_S
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    command = [sys.executable, str(rootpath / "benchmarks" / "faults.py"), "--log", str(log), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    points = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert document["rows_lost"] == document["rows_duplicated"] == document["rows_misplaced"] == 0
    assert document["jobs_ended_unasked"] == 0
    assert document["texts"] > document["rows"] / 4, "the texts must tell rows apart"
    assert document["points"] == len(points)
    return document, points


@pytest.mark.timeout(900)
def test_a_job_outlives_its_drivers_its_actors_and_readers(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kinds = ("driver", "actor", "reader")
    arguments = ("--points", "12", "--per-job", "12", "--rows", "400", "--kinds", *kinds)
    document, points = _faults(tmp_path / "log.jsonl", request.config.rootpath, *arguments)
    assert {kind: document["kinds"][kind]["points"] for kind in kinds} == dict.fromkeys(kinds, 4)
    assert document["between_commits"] >= 0.8
    assert all(point["rows_total"] == 400 for point in points)
    actors = [point for point in points if point["kind"] == "actor"]
    assert all("GuardedModelActor" in point["killed"][0]["title"] for point in actors)
    assert [point["driver_exit_code"] for point in points if point["kind"] == "driver"] == [-9] * 4


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_dozen_points_nodes_among_them(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    document, points = _faults(tmp_path / "log.jsonl", request.config.rootpath, "--points", "12", deadline_s=1100)
    assert {kind: document["kinds"][kind]["points"] for kind in ("driver", "actor", "reader", "node")} == {
        "driver": 3,
        "actor": 3,
        "reader": 3,
        "node": 3,
    }
    assert document["between_commits"] >= 0.8
    assert any("GuardedModelActor" in victim["title"] for point in points for victim in point["killed"])


def test_no_fault_escapes_the_verdict(request: pytest.FixtureRequest) -> None:
    verdict = runpy.run_path(str(request.config.rootpath / "benchmarks" / "fault_verdict.py"))
    rows = [{name: f"{name} of {uid}" for name in (*verdict["SAME"], "actor")} | {"uid": uid} for uid in "abcd"]
    undisturbed = verdict["by_uid"](rows)
    elsewhere = [row | {"actor": "another"} for row in rows]
    assert verdict["faults_of"](elsewhere, undisturbed) == {"lost": [], "duplicated": [], "misplaced": []}

    swapped = [rows[0] | {"text": rows[1]["text"]}, rows[1], rows[1], rows[3], rows[3] | {"uid": "unknown"}]
    assert verdict["faults_of"](swapped, undisturbed) == {
        "lost": ["c"],
        "duplicated": ["b"],
        "misplaced": ["a", "unknown"],
    }
    for name in verdict["SAME"]:
        differing = rows[0] | {name: "other"}
        assert verdict["faults_of"]([differing, *rows[1:]], undisturbed)["misplaced"] == ["a"]
        assert verdict["what_differs"](differing, undisturbed) == f"{name} '{name} of a' -> 'other'"
    assert verdict["what_differs"](elsewhere[0] | {"error_code": "poison"}, undisturbed) == "error_code 'poison'"
