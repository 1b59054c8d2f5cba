"""Rows that kill or hang the process that has them in hand: real deaths in real jobs, one command, right answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.shadow_estimate import ShadowEstimate, shadow_estimate
from mue_model.config import EngineConfig, GenerationConfig
from mue_model.loading import build_engine
from mue_model.marked_rows import marked_uid
from mue_model.model_names import model_facts
from mue_model.rows import RowInput
from pipeline.ledger import Ledger
from pipeline.storage import Storage

DrawShard = Callable[..., dict[str, bytes]]
HOSTILE = Path(__file__).parent / "hostile"
ROWS = 60
DEADLINE_S = 280


def mue(*arguments: str, hostile: bool = False, **marked: str) -> subprocess.CompletedProcess[str]:
    """Run a command; `hostile`: in an environment in which marked images and rows do to processes what they say."""
    path = os.pathsep.join([str(HOSTILE)] * hostile + [os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", **marked}
    program = [sys.executable, "-c", "from jobs.cli import main; main()", *arguments]
    return subprocess.run(program, capture_output=True, text=True, env=environment, timeout=DEADLINE_S, check=False)


def settings(output: Path) -> list[str]:
    chosen = ("output.rows_per_part=16", "actors.rows_per_call=8", "engine.threads=1")
    return ["--output", str(output), "--model", "seeded", *[word for one in chosen for word in ("--set", one)]]


def committed(output: Path) -> dict[str, dict[str, Any]]:
    rows = [row for table in Ledger(Storage.open(str(output))).read_live() for row in table.to_pylist()]
    assert len({row["uid"] for row in rows}) == len(rows), "a row is committed twice"
    return {row["uid"]: row for row in rows}


def assert_same_answers(found: dict[str, dict[str, Any]], undisturbed: dict[str, dict[str, Any]]) -> None:
    answers = ("key", "text", "image_layers_run", "decoder_layers_run", "flops_executed")
    for uid, row in found.items():
        assert {name: row[name] for name in answers} == {name: undisturbed[uid][name] for name in answers}


def failures(rows: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {uid: (row["error_stage"], row["error_code"]) for uid, row in rows.items() if row["status"] == "failed"}


def test_a_row_that_kills_the_actor_fails_alone_and_is_well_once_it_is_retried(
    tmp_path: Path, draw_shard: DrawShard
) -> None:
    images = draw_shard(tmp_path / "00000.tar", ROWS)
    poison, shard, output = "000000-00000/17/0", str(tmp_path / "00000.tar"), tmp_path / "out"

    done = mue("run", shard, *settings(output), hostile=True, MUE_TEST_KILL=poison)

    assert done.returncode == 0, done.stderr
    disturbed = committed(output)
    assert len(disturbed) == ROWS
    assert failures(disturbed) == {poison: ("infer", "poison")}
    assert not list((output / "intents").glob("*.json")), "what is committed is under no suspicion"

    retried = mue("retry", str(output), "--only", "failed")

    assert retried.returncode == 0, retried.stderr
    rows = committed(output)
    assert failures(rows) == {}
    assert (rows[poison]["attempts"], disturbed[poison]["attempts"]) == (2, 1)
    others = {uid: row for uid, row in disturbed.items() if uid != poison}
    assert {uid: rows[uid] for uid in others} == others, "nothing else was touched"
    assert rows[poison]["text"] == text_alone(images[rows[poison]["key"]])


def text_alone(image: bytes) -> str | None:
    """What an engine says that has nothing else to do."""
    facts = model_facts("seeded")
    engine = build_engine(facts, facts.exits("default"), GenerationConfig(), EngineConfig(group_size=1))
    row = RowInput(uid="alone", pixels=facts.processor.pixels(image), prompt_ids=facts.processor.prompt_ids())
    [result] = engine.submit([row]).result()
    engine.close()
    return result.text


def committed_without_trouble(shard: str, folder: Path) -> dict[str, dict[str, Any]]:
    assert mue("run", shard, *settings(folder / "undisturbed")).returncode == 0
    return committed(folder / "undisturbed")


@pytest.mark.slow
def test_rows_that_kill_or_hang_decode_or_the_model_fail_alone(tmp_path: Path, draw_shard: DrawShard) -> None:
    marks = {7: b"decode-kill", 30: b"decode-hang"}
    draw_shard(tmp_path / "00000.tar", ROWS, marks=marks)
    shard, output = str(tmp_path / "00000.tar"), tmp_path / "out"

    done = mue(
        "run",
        shard,
        *settings(output),
        *("--set", "failures.stuck_s=20"),
        hostile=True,
        MUE_TEST_HANG="000000-00000/50/0",
    )

    assert done.returncode == 0, done.stderr
    rows = committed(output)
    assert len(rows) == ROWS
    assert failures(rows) == {
        "000000-00000/7/0": ("decode", "poison"),
        "000000-00000/30/0": ("decode", "poison"),
        "000000-00000/50/0": ("infer", "poison"),
    }
    undisturbed = committed_without_trouble(shard, tmp_path)
    assert failures(undisturbed) == {}, "the images themselves are good"
    assert_same_answers({uid: row for uid, row in rows.items() if row["status"] == "ok"}, undisturbed)


@pytest.mark.slow
def test_a_machine_that_kills_every_row_ends_the_job(tmp_path: Path, draw_shard: DrawShard) -> None:
    draw_shard(tmp_path / "00000.tar", 6)
    every = " ".join(f"000000-00000/{row}/0" for row in range(6))
    done = mue(
        "run",
        str(tmp_path / "00000.tar"),
        *settings(tmp_path / "out"),
        *("--set", "failures.max_poison_rows=1"),
        hostile=True,
        MUE_TEST_KILL=every,
    )
    assert done.returncode == 3, done.stderr
    assert "failures.max_poison_rows is 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_shadow_that_kills_the_actor_costs_itself_and_not_its_row(tmp_path: Path, draw_shard: DrawShard) -> None:
    draw_shard(tmp_path / "00000.tar", ROWS)
    poison, shard, output = "000000-00000/17/0", str(tmp_path / "00000.tar"), tmp_path / "out"

    done = mue("run", shard, *settings(output), "--set", "audit.rate=1", hostile=True, MUE_TEST_KILL=marked_uid(poison))

    assert done.returncode == 0, done.stderr
    rows = committed(output)
    assert len(rows) == ROWS
    assert failures(rows) == {}
    assert rows[poison]["shadow"] is None
    assert_same_answers(rows, committed_without_trouble(shard, tmp_path))
    estimate = shadow_estimate(Ledger(Storage.open(str(output))))
    assert isinstance(estimate, ShadowEstimate)
    assert 1 <= estimate.lost <= 4, "those of its half of a call at the most"
    assert estimate.shadowed == ROWS - estimate.lost
