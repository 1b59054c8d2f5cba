"""Real jobs, killed for real; then the same command again. What counts is the text beside the key, not a count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.ledger import Ledger
from pipeline.storage import Storage

# Kills at random moments are in the default run, `test_faults.py`; here signals, and what a kill leaves in the folder.
pytestmark = pytest.mark.slow
DrawShard = Callable[..., dict[str, bytes]]
ROWS, SHARDS = 400, 3
DEADLINE_S = 200


def start(shards: Path, output: Path) -> subprocess.Popen[bytes]:
    arguments = [str(shards / "{00000..00002}.tar"), "--output", str(output), "--set", "output.rows_per_part=16"]
    program = "import sys; from jobs.cli import main; main()"
    with (output.parent / "stderr.txt").open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", program, "run", *arguments, "--model", "seeded", "--set", "engine.threads=1"],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        )


def wait_for_commits(job: subprocess.Popen[bytes], output: Path, receipts: int) -> int:
    """Wait until the running job has committed something; returns the number of receipts then."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        done = len(list((output / "done").glob("*.json")))
        if done >= receipts:
            return done
        assert job.poll() is None, (output.parent / "stderr.txt").read_text()
        time.sleep(0.05)
    raise AssertionError(f"no {receipts} receipts after {DEADLINE_S} s")


def committed(output: Path) -> dict[str, dict[str, Any]]:
    """The live rows by uid; asserts that none is there twice."""
    rows = [row for table in Ledger(Storage.open(str(output))).read_live() for row in table.to_pylist()]
    by_uid = {row["uid"]: row for row in rows}
    assert len(by_uid) == len(rows), "a row is committed twice"
    return by_uid


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, draw_shard: DrawShard) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(SHARDS):
        draw_shard(folder / f"{shard:05d}.tar", ROWS, seed=shard)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> dict[str, dict[str, Any]]:
    """What the job commits when nobody interferes."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    assert start(shards, output).wait(DEADLINE_S) == 0
    return committed(output)


def assert_same_answers(output: Path, undisturbed: dict[str, dict[str, Any]]) -> None:
    answers = ("key", "text", "status", "image_layers_run", "decoder_layers_run", "flops_executed")
    rows = committed(output)
    assert rows.keys() == undisturbed.keys()
    assert len(rows) == ROWS * SHARDS
    for uid, row in rows.items():
        assert {name: row[name] for name in answers} == {name: undisturbed[uid][name] for name in answers}


def test_kill_the_actor(tmp_path: Path, shards: Path, undisturbed: dict[str, dict[str, Any]]) -> None:
    output = tmp_path / "out"
    job = start(shards, output)
    wait_for_commits(job, output, 1)
    actors = [
        process
        for process in psutil.Process(job.pid).children(recursive=True)
        if "ModelActor" in " ".join(process.cmdline())
    ]
    assert actors, "there was an actor to kill"
    for actor in actors:
        actor.kill()

    code = job.wait(DEADLINE_S)
    if code != 0:  # a job that could not go on by itself must go on with the same command
        assert start(shards, output).wait(DEADLINE_S) == 0
    assert_same_answers(output, undisturbed)


def test_kill_the_driver(tmp_path: Path, shards: Path, undisturbed: dict[str, dict[str, Any]]) -> None:
    output = tmp_path / "out"
    job = start(shards, output)
    wait_for_commits(job, output, 2)
    job.kill()
    assert job.wait(DEADLINE_S) == -signal.SIGKILL
    assert_the_same_command_goes_on(shards, output, undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@pytest.mark.parametrize("signals", [1, 2])
def test_stop_the_driver(
    tmp_path: Path,
    shards: Path,
    undisturbed: dict[str, dict[str, Any]],
    number: signal.Signals,
    code: int,
    signals: int,
) -> None:
    output = tmp_path / "out"
    job = start(shards, output)
    wait_for_commits(job, output, 2)
    before = len(committed(output))
    for _ in range(signals):
        job.send_signal(number)
        time.sleep(0.5)
    assert job.wait(DEADLINE_S) == code
    errors = [line for line in (tmp_path / "stderr.txt").read_text().splitlines() if line.startswith("error:")]
    rows = len(committed(output))
    assert errors == [
        f"error: stopped by {number.name}: {rows} rows are committed and stay so; the same command resumes"
    ]
    assert json.loads((output / "run.json").read_text())["exit_code"] == code
    if signals == 1:
        assert rows >= before + 100, "the rows in hand were finished and committed"
    assert_the_same_command_goes_on(shards, output, undisturbed)


def assert_the_same_command_goes_on(shards: Path, output: Path, undisturbed: dict[str, dict[str, Any]]) -> None:
    assert not (output / "manifest.json").exists(), "the job ended before it was killed"
    before = {path.name: path.read_bytes() for path in (output / "done").glob("*.json")}
    assert before, "something was committed before the kill"

    assert start(shards, output).wait(DEADLINE_S) == 0

    assert_same_answers(output, undisturbed)
    after = {path.name: path.read_bytes() for path in (output / "done").glob("*.json")}
    assert before.items() <= after.items(), "what was committed stays as it was"
    assert json.loads((output / "run.json").read_text())["exit_code"] == 0
    assert not list((output / "intents").glob("*")), "nothing is under suspicion"
