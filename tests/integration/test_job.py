"""The main job for real: shards, Ray, the model, the ledger."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.progress import ProgressView
from jobs.run import JobOutcome, run_job
from mue_model.config import EngineConfig, GenerationConfig
from mue_model.loading import build_engine
from mue_model.model_names import model_facts
from mue_model.processor import ImageError
from mue_model.rows import RowInput, RowResult
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.spec import ActorsConfig, FailuresConfig, InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

pytestmark = pytest.mark.usefixtures("ray_local")

DrawShard = Callable[..., dict[str, bytes]]


def job(urls: str, output: Path, **settings: Any) -> JobSpec:
    return JobSpec(
        inputs=InputsConfig(urls=(urls,)),
        output=OutputConfig(url=str(output), rows_per_part=16),
        actors=ActorsConfig(rows_per_call=8),
        engine=EngineConfig(threads=1),
        model="seeded",
        **settings,
    )


def run(spec: JobSpec) -> JobOutcome:
    return run_job(spec, progress=ProgressView("silent"))


def committed(output: Path) -> list[dict[str, Any]]:
    tables = Ledger(Storage.open(str(output))).read_live()
    return [row for table in tables for row in table.to_pylist()]


def answers_alone(images: dict[str, bytes]) -> dict[str, RowResult]:
    """Each good image's answer from an engine that runs one row at a time, by key."""
    facts = model_facts("seeded")
    engine = build_engine(facts, facts.exits("default"), GenerationConfig(), EngineConfig(group_size=1))
    rows = []
    for key, image in images.items():
        try:
            pixels = facts.processor.pixels(image)
        except ImageError:
            continue
        rows.append(RowInput(uid=key, pixels=pixels, prompt_ids=facts.processor.prompt_ids()))
    results = engine.submit(rows).result()
    engine.close()
    return {result.uid: result for result in results}


def test_every_row_gets_its_own_answer_beside_its_own_key(tmp_path: Path, draw_shard: DrawShard) -> None:
    broken = {3: b"no image at all", 20: b""}
    images = draw_shard(tmp_path / "00000.tar", 40, seed=1, replaced=broken)
    images |= draw_shard(tmp_path / "00001.tar", 25, seed=2)
    spec = job(str(tmp_path / "{00000..00001}.tar"), tmp_path / "out")

    outcome = run(spec)

    assert outcome.exit_code is ExitCode.OK
    rows = committed(tmp_path / "out")
    assert sorted(row["uid"] for row in rows) == sorted(
        [f"000000-00000/{n}/0" for n in range(40)] + [f"000001-00001/{n}/0" for n in range(25)]
    )
    alone = answers_alone(images)
    assert len({result.text for result in alone.values()}) > 20, "the answers must tell rows apart"
    assert len({layers for result in alone.values() for layers in result.trace.decoder}) > 1, "depths must vary"
    for row in rows:
        assert row["key"] == f"s{1 + int(row['shard_id'][5])}r{row['row_in_shard']:04d}"
        if row["status"] == "ok":
            expected = alone[row["key"]]
            assert row["text"] == expected.text
            assert tuple(row["decoder_layers_run"]) == expected.trace.decoder
            assert (row["image_layers_run"], row["text_layers_run"]) == (expected.trace.image, expected.trace.text)
            assert row["flops_executed"] < row["flops_full_same_length"]
            assert json.loads(row["meta_json"])["txt"].startswith("a ")
    failed = {(row["key"], row["error_stage"], row["error_code"]) for row in rows if row["status"] == "failed"}
    assert failed == {("s1r0003", "decode", "unknown_format"), ("s1r0020", "read", "empty_image")}


def test_the_same_command_again_opens_no_shard(tmp_path: Path, draw_shard: DrawShard) -> None:
    draw_shard(tmp_path / "00000.tar", 12)
    spec = job(str(tmp_path / "00000.tar"), tmp_path / "out")
    first = run(spec)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    second = run(spec)

    assert (first.shards_opened, second.shards_opened) == (1, 0)
    assert second.exit_code is ExitCode.OK
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_cut_shard_keeps_its_good_rows_and_the_job_says_so(tmp_path: Path, draw_shard: DrawShard) -> None:
    draw_shard(tmp_path / "00000.tar", 30)
    draw_shard(tmp_path / "00001.tar", 10, seed=3)
    whole = (tmp_path / "00000.tar").read_bytes()
    (tmp_path / "00000.tar").write_bytes(whole[: len(whole) // 2])
    pattern = str(tmp_path / "{00000..00001}.tar")

    outcome = run(job(pattern, tmp_path / "out"))

    assert outcome.exit_code is ExitCode.FAILURE_BUDGET
    assert "1 bad shards" in outcome.reason
    rows = committed(tmp_path / "out")
    good = [row for row in rows if row["shard_id"] == "000000-00000" and row["status"] == "ok"]
    assert 10 <= len(good) < 30
    assert len([row for row in rows if row["shard_id"] == "000001-00001"]) == 10
    [failure] = Ledger(Storage.open(str(tmp_path / "out"))).failure_entries()
    assert (failure.shard_id, failure.code, failure.attempts) == ("000000-00000", "truncated", 2)

    allowed = job(pattern, tmp_path / "out", failures=FailuresConfig(max_bad_shards=1))
    again = run(allowed)
    assert (again.exit_code, again.shards_opened) == (ExitCode.OK, 0)


def test_a_shard_that_was_out_of_reach_is_read_by_the_next_run(tmp_path: Path, draw_shard: DrawShard) -> None:
    draw_shard(tmp_path / "00000.tar", 10)
    draw_shard(tmp_path / "00001.tar", 12, seed=3)
    spec, away = job(str(tmp_path / "{00000..00001}.tar"), tmp_path / "out"), tmp_path / "away"

    def take_away() -> None:
        while not (tmp_path / "out" / "plan.json").exists():
            time.sleep(0.01)
        (tmp_path / "00001.tar").rename(away)

    thief = threading.Thread(target=take_away)
    thief.start()
    outcome = run(spec)
    thief.join()
    assert outcome.exit_code is ExitCode.FAILURE_BUDGET
    [failure] = Ledger(Storage.open(str(tmp_path / "out"))).failure_entries()
    assert (failure.shard_id, failure.code) == ("000001-00001", "unreadable")
    assert len(committed(tmp_path / "out")) == 10

    away.rename(tmp_path / "00001.tar")
    again = run(spec)

    assert (again.exit_code, again.shards_opened) == (ExitCode.OK, 1)
    assert [row["row_in_shard"] for row in committed(tmp_path / "out") if row["shard_id"] == "000001-00001"] == [
        *range(12)
    ]
    assert Ledger(Storage.open(str(tmp_path / "out"))).failure_entries() == []
    assert run(spec).shards_opened == 0


def test_empty_shards_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(b"")
    (tmp_path / "00001.tar").write_bytes(bytes(1024))

    outcome = run(job(str(tmp_path / "{00000..00001}.tar"), tmp_path / "out"))

    assert outcome.exit_code is ExitCode.FAILURE_BUDGET
    ledger = Ledger(Storage.open(str(tmp_path / "out")))
    assert committed(tmp_path / "out") == []
    assert [(entry.shard_id, entry.code) for entry in ledger.failure_entries()] == [("000000-00000", "empty_file")]
    assert ledger.progress().of("000001-00001").total == 0


def test_photographs(tmp_path: Path, photo_shards: list[str]) -> None:
    folder = str(Path(photo_shards[0]).parent)

    outcome = run(job(f"{folder}/coco-{{00000..00003}}.tar", tmp_path / "out"))

    rows = committed(tmp_path / "out")
    assert outcome.exit_code is ExitCode.OK
    assert len({row["uid"] for row in rows}) == len(rows) == 60
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["key"] == f"{json.loads(row['meta_json'])['json']['coco_id']:012d}" for row in rows)


@pytest.mark.slow
def test_a_failure_budget_stops_the_running_job_and_a_larger_one_lets_it_go_on(
    tmp_path: Path, draw_shard: DrawShard
) -> None:
    draw_shard(tmp_path / "00000.tar", 3000, replaced=dict.fromkeys(range(20), b"no image at all"))
    shard, output = str(tmp_path / "00000.tar"), tmp_path / "out"

    # One row at a time, so that there is something left to stop.
    slow = {"engine": EngineConfig(threads=1, group_size=1)}
    few = job(shard, output, failures=FailuresConfig(max_failed_rows=5)).model_copy(update=slow)

    outcome = run(few)

    assert outcome.exit_code is ExitCode.FAILURE_BUDGET
    assert "rows failed, but failures.max_failed_rows is 5 (unknown_format" in outcome.reason
    early = len(committed(output))
    assert 0 < early < 3000, "it did not wait for the end"
    again = run(few)
    assert (again.exit_code, again.shards_opened) == (ExitCode.FAILURE_BUDGET, 0)
    assert len(committed(output)) == early

    assert run(job(shard, output, failures=FailuresConfig(max_failed_rows=20))).exit_code is ExitCode.OK

    rows = committed(output)
    assert sorted(row["row_in_shard"] for row in rows) == list(range(3000))
    assert {row["row_in_shard"] for row in rows if row["status"] == "failed"} == set(range(20))
