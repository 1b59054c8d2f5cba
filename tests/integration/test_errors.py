"""What a user sees when a job cannot run: one line that says what, where and what to do, and an exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mue_model.checkpoint import save_weights
from mue_model.model import parameter_shapes
from mue_model.model_folder import config_document
from mue_model.model_names import model_facts
from mue_model.seeded import seeded_array

DrawShard = Callable[..., dict[str, bytes]]


def mue(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from jobs.cli import main; main()"
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "NO_COLOR": "1", **settings}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200, check=False)


@pytest.fixture
def shard(tmp_path: Path, draw_shard: DrawShard) -> str:
    draw_shard(tmp_path / "00000.tar", 4)
    return str(tmp_path / "00000.tar")


def test_a_missing_shard_is_named_before_anything_is_written(tmp_path: Path, shard: str) -> None:
    gone = str(tmp_path / "00001.tar")
    result = mue("run", shard, gone, "--output", str(tmp_path / "out"))
    assert result.returncode == 2
    assert gone in result.stderr
    assert not (tmp_path / "out" / "plan.json").exists()


def test_a_model_that_lacks_a_tensor_is_refused_before_anything_is_written(tmp_path: Path, shard: str) -> None:
    facts = model_facts("seeded")
    folder = tmp_path / "model"
    facts.processor.save(folder)
    (folder / "config.json").write_text(json.dumps(config_document(facts.config)))
    lacking = "decoder.layers.3.fc1.weight"
    shapes = {name: shape for name, shape in parameter_shapes(facts.config).items() if name != lacking}
    save_weights(folder, {name: torch.from_numpy(seeded_array(name, shape)) for name, shape in shapes.items()})

    result = mue("run", shard, "--output", str(tmp_path / "out"), "--model", str(folder))

    assert result.returncode == 2
    assert f"missing tensor {lacking}" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "plan.json").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_an_actor_that_cannot_start_ends_the_job_with_its_reason(tmp_path: Path, shard: str) -> None:
    result = mue("run", shard, "--output", str(tmp_path / "out"), "--set", "engine.device=cuda")
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert "engine.device = cuda" in line
    assert result.stdout == "", "stdout is for data"
    assert "Traceback" not in result.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["exit_code"] == 1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_does_not_answer_is_named_at_once(tmp_path: Path, shard: str, scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{_free_port()}"
    began = time.monotonic()
    result = mue("run", shard, "--output", str(tmp_path / "out"), RAY_ADDRESS=address)
    assert time.monotonic() - began < 60, "Ray by itself tries for two minutes"
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert f"RAY_ADDRESS={address}" in line
    assert "unset RAY_ADDRESS" in line
    assert "Traceback" not in result.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["exit_code"] == 1


def test_a_ray_that_does_not_start_is_said_in_one_line(tmp_path: Path, shard: str) -> None:
    # The sockets' names get too long for the system.
    temporary = tmp_path / ("long" * 30)
    temporary.mkdir()
    result = mue("run", shard, "--output", str(tmp_path / "out"), RAY_TMPDIR=str(temporary))
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert line.startswith("error: cannot start Ray here: ")
    assert "Traceback" not in result.stderr
