"""`mue plan`: what it says is true of the job that follows, and it writes nothing but the plan."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image
from typer.testing import Result

from jobs.planning import prepare
from jobs.spec import load_spec
from jobs.time_estimate import START_S

Mue = Callable[..., Result]


def jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), random.Random(seed).choice(["red", "green", "blue", "white"])).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tar of 6 rows, one of them broken; a compressed tar beside its side-car; a Parquet file; a folder."""
    monkeypatch.chdir(tmp_path)
    with webdataset.TarWriter("a.tar", mtime=0) as writer:
        for row in range(6):
            writer.write({"__key__": f"k{row}", "jpg": b"no image" if row == 1 else jpeg(row)})
    (tmp_path / "packed").mkdir()
    with webdataset.TarWriter("packed/00000.tar.gz", mtime=0, compress=True) as writer:
        writer.write({"__key__": "only", "jpg": jpeg(9)})
    (tmp_path / "packed" / "00000_stats.json").write_text(json.dumps({"count": 5, "successes": 4}))
    pq.write_table(pa.table({"image": [jpeg(1), jpeg(2)], "caption": ["x", "y"]}), "t.parquet")
    (tmp_path / "photos").mkdir()
    for row in range(3):
        (tmp_path / "photos" / f"{row}.jpg").write_bytes(jpeg(row))
    return ["a.tar", "packed/00000.tar.gz", "t.parquet", "photos"]


def planned(mue: Mue, inputs: list[str], *options: str) -> dict[str, Any]:
    result = mue("--json", "plan", *inputs, "--output", "out", "--model", "seeded", *options)
    assert result.exit_code == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is measured on few rows: its speed is not what is tested."""
    monkeypatch.setattr("jobs.sample.MEASURE_IMAGES", 32)


@pytest.mark.usefixtures("few_rows")
def test_rows_are_counted_and_answered_and_only_the_plan_is_written(
    mue: Mue, inputs: list[str], tmp_path: Path
) -> None:
    facts = planned(mue, inputs, "--price-per-hour", "3600", "--sample", "8")
    assert facts["rows"]["by_source"] == {"counted": 6, "side-car": 4, "footer": 2, "listed": 3}
    assert (facts["rows"]["rows"], facts["rows"]["exact"]) == (15, False)
    assert facts["shards_by_kind"] == {"tar": 2, "parquet": 1, "folder": 1}
    by_uid = {row["uid"]: row for row in facts["sample"]}
    assert list(by_uid) == [
        "000000-a/0/0", "000000-a/1/0", "000001-00000/0/0", "000002-t/0/0", "000002-t/1/0", "000003-photos/0/0",
        "000003-photos/1/0",
    ]  # fmt: skip
    assert by_uid["000000-a/1/0"]["error_code"] == "unknown_format"
    good = [row for row in facts["sample"] if row["status"] == "ok"]
    assert len(good) == 6
    for row in good:
        assert row["prompt"] == " what does the image describe?"
        assert row["text"]
        assert 0 < row["flops_share"] <= 1
        assert row["image_layers_run"] > 0
    assert facts["measured"]["rows_per_s"] > 0
    assert facts["estimate"]["cost"] == pytest.approx(facts["estimate"]["wall_s"])
    assert any("side-cars" in unknown for unknown in facts["not_known"])
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["plan.json"]


@pytest.mark.usefixtures("few_rows")
def test_every_segment_starts_a_pool_of_its_own(mue: Mue, inputs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Four shards, two a segment: two starts are in the time, and two loadings of the model."""
    monkeypatch.setattr("jobs.run.SEGMENT_SHARDS", 2)
    facts = planned(mue, inputs)
    measured, estimate = facts["measured"], facts["estimate"]
    answering = facts["rows"]["rows"] / min(estimate["stages"].values())
    assert estimate["wall_s"] == pytest.approx(2 * (START_S + measured["load_s"]) + answering)


@pytest.mark.usefixtures("few_rows")
def test_a_run_adopts_the_plan(mue: Mue, inputs: list[str], tmp_path: Path) -> None:
    facts = planned(mue, inputs, "--sample", "1")
    written = (tmp_path / "out" / "plan.json").read_bytes()
    spec = load_spec(None, inputs=inputs, output="out", overrides=["model=seeded"])
    assert prepare(spec).plan.fingerprint == facts["fingerprint"]
    assert facts["plan_is_new"]
    assert not planned(mue, inputs, "--sample", "1")["plan_is_new"]
    assert (tmp_path / "out" / "plan.json").read_bytes() == written


@pytest.mark.usefixtures("few_rows")
def test_another_jobs_folder_is_refused_before_anything_is_answered(mue: Mue, inputs: list[str]) -> None:
    planned(mue, inputs, "--sample", "1")
    result = mue("plan", "a.tar", "--output", "out", "--model", "seeded")
    assert result.exit_code == 2
    assert "other inputs or settings" in result.stderr


@pytest.mark.usefixtures("few_rows")
def test_a_job_none_of_whose_rows_can_be_answered_has_no_time(
    mue: Mue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no image")
    (tmp_path / "none.tar").write_bytes(bytes(1024))
    facts = planned(mue, ["photos", "none.tar"])
    assert [row["error_code"] for row in facts["sample"]] == ["unknown_format"]
    assert facts["estimate"]["wall_s"] is None
    assert any(unknown.startswith("time: none of the sampled rows") for unknown in facts["not_known"])
