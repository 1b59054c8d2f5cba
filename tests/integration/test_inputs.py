"""One job on every kind of input at once: each row its own answer, beside its own key, whatever it came in."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.progress import ProgressView
from jobs.run import run_job
from mue_model.config import EngineConfig
from pipeline import folder_images
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.plan import PlanError
from pipeline.receipts import LedgerError
from pipeline.spec import ActorsConfig, InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

pytestmark = pytest.mark.usefixtures("ray_local")


def test_tars_parquet_and_folders_in_one_job(
    tmp_path: Path, draw_shard: Callable[..., dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_images.cut_into_runs, "__kwdefaults__", {"rows_per_run": 8})
    images = list(draw_shard(tmp_path / "plain.tar", 20).values())
    (tmp_path / "packed.tar.gz").write_bytes(gzip.compress((tmp_path / "plain.tar").read_bytes()))
    (tmp_path / "packed_stats.json").write_text(json.dumps({"successes": 999}))
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for number, image in enumerate(images):
        (tmp_path / "photos" / ("deep" if number % 2 else ".") / f"{number:03d}.jpg").write_bytes(image)
    os.mkfifo(tmp_path / "photos" / "pipe.jpg")
    pq.write_table(pa.table({"image": images, "n": range(20)}), tmp_path / "bytes.parquet", row_group_size=7)
    paths = [f"photos/{'deep/' if number % 2 else ''}{number:03d}.jpg" for number in range(20)]
    pq.write_table(pa.table({"path": [*paths, "photos/gone.jpg"]}), tmp_path / "paths.parquet")
    names = ("plain.tar", "packed.tar.gz", "photos", "bytes.parquet", "paths.parquet")
    spec = JobSpec(
        inputs=InputsConfig(urls=tuple(str(tmp_path / name) for name in names)),
        output=OutputConfig(url=str(tmp_path / "out"), rows_per_part=16),
        actors=ActorsConfig(rows_per_call=8),
        engine=EngineConfig(threads=1),
        model="seeded",
    )

    outcome = run_job(spec, progress=ProgressView("silent"))

    assert outcome.exit_code is ExitCode.OK
    ledger = Ledger(Storage.open(str(tmp_path / "out")))
    rows = [row for table in ledger.read_live() for row in table.to_pylist()]
    assert len({row["uid"] for row in rows}) == len(rows) == 20 * 5 + 2
    totals = {shard_id: shard.total for shard_id, shard in ledger.progress().shards.items()}
    assert totals["000001-packed"] == 20, "what was read counts, not what the side-car says"
    assert [totals[f"{number:06d}-photos"] for number in (2, 3, 4)] == [8, 8, 5]
    by_place = _by_picture(rows)
    reference = by_place["plain"]
    assert len(set(reference.values())) > 10, "the answers must tell rows apart"
    assert all(found == reference for found in by_place.values())
    assert {(row["key"], row["error_code"]) for row in rows if row["status"] == "failed"} == {
        ("pipe", "unreadable_image"), ("photos/gone.jpg", "missing_image"),
    }  # fmt: skip

    again = run_job(spec, progress=ProgressView("silent"))
    assert (again.exit_code, again.shards_opened) == (ExitCode.OK, 0)
    (tmp_path / "photos" / "new.jpg").write_bytes(images[0])
    with pytest.raises((LedgerError, PlanError), match="photos"):
        run_job(spec, progress=ProgressView("silent"))


def _by_picture(rows: list[dict[str, Any]]) -> dict[str, dict[int, Any]]:
    """What was answered about picture 0 to 19, by kind of shard; the number is told by each kind's own key."""
    found: dict[str, dict[int, Any]] = {}
    for row in rows:
        if row["status"] != "ok":
            continue
        kind = row["shard_id"].partition("-")[2]
        key = row["key"].removesuffix(".jpg").rpartition("/")[2]
        number = int(key[-4:]) if kind in ("plain", "packed") else int(key)
        answer = (row["text"], tuple(row["decoder_layers_run"]), row["image_sha256"])
        found.setdefault(kind, {})[number] = answer
    return found
