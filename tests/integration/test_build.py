"""What the chain makes of real shards in a real Ray, up to what an actor is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray.data import Dataset

from mue_model.model_names import model_facts
from pipeline import build, guarded
from pipeline.guard import Guard
from pipeline.guarded import GuardedDecode
from pipeline.preprocess import DecodeRows
from pipeline.shard_read import ShardRead
from pipeline.sources import ShardSource
from pipeline.spec import InputsConfig

pytestmark = pytest.mark.usefixtures("ray_local")
ROWS, CALL = 700, 32


def decoded(shard: Path, output: Path, *, size: int) -> Dataset:
    guard = Guard(output=str(output), attempt="a1", stuck_s=60)
    read = ShardRead(shard_id="000000-a", url=str(shard), size=size, etag=None)
    build._set_context(60)
    rows = build._read(ShardSource([read], InputsConfig(urls=("-",)), guard.stop_watch()), tasks=1)
    decode = DecodeRows.from_processor(model_facts("seeded").processor)
    return build._in_tasks(rows, GuardedDecode(decode, guard), CALL)


def test_decode_cuts_blocks_of_one_call_in_its_own_task(
    tmp_path: Path, draw_shard: Callable[..., dict[str, bytes]]
) -> None:
    shard = tmp_path / "a.tar"
    draw_shard(shard, ROWS)

    dataset = decoded(shard, tmp_path / "out", size=shard.stat().st_size).materialize()

    blocks = [block.num_rows for bundle in dataset.iter_internal_ref_bundles() for block in bundle.metadata]
    control = 1
    assert blocks == [CALL] * (ROWS // CALL) + [ROWS % CALL + control], "cut by rows, though 16 MiB end within them"
    assert sum(bundle.size_bytes() for bundle in dataset.iter_internal_ref_bundles()) > 2 * build.TARGET_BLOCK_BYTES
    operators = [line for line in dataset.stats().splitlines() if line.startswith("Operator")]
    assert "MapBatches(GuardedDecode)->StreamingRepartition" in operators[1]
    assert len(operators) == 2, "no task of its own that copies every pixel, and is run anew without bound"


def test_a_task_whose_process_died_is_known_when_it_runs_again(tmp_path: Path) -> None:
    @ray.remote(num_cpus=0.5, max_retries=2)
    def dying_once(first: Path) -> bool:
        if not first.exists():
            first.touch()
            assert not guarded._run_again()
            os._exit(1)
        return guarded._run_again()

    assert ray.get(dying_once.remote(tmp_path / "ran"))
    assert not guarded._run_again(), "a driver is no task"
