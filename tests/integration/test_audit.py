"""A job audited while it runs, and one audited afterwards: real Ray, the same rows, the same findings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.audit_run import audit_job
from jobs.audited_rows import InputsChanged
from jobs.overhead_seconds import overhead_seconds
from jobs.progress import ProgressView
from jobs.run import run_job
from jobs.shadow_estimate import ShadowEstimate, shadow_estimate
from jobs.timing_windows import TimingWindows, timing_windows
from mue_model.config import ConfigError, EngineConfig
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.plan_match import FingerprintMismatch
from pipeline.spec import ActorsConfig, AuditConfig, InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

pytestmark = [pytest.mark.usefixtures("ray_local"), pytest.mark.timeout(900)]
RATE = 0.4


@pytest.fixture
def shards(tmp_path: Path, draw_shard: Callable[..., Any]) -> Path:
    draw_shard(tmp_path / "00000.tar", 14, seed=1, replaced={3: b"no image at all"})
    draw_shard(tmp_path / "00001.tar", 10, seed=2)
    return tmp_path


def spec(folder: Path, name: str, **audit: Any) -> JobSpec:
    return JobSpec(
        inputs=InputsConfig(urls=(str(folder / "00000.tar"), str(folder / "00001.tar"))),
        output=OutputConfig(url=str(folder / name), rows_per_part=16),
        model="seeded",
        actors=ActorsConfig(rows_per_call=8),
        engine=EngineConfig(threads=1, group_size=2, image_group_size=1),
        audit=AuditConfig.model_validate(audit),
    )


def ledger_of(job: JobSpec) -> Ledger:
    return Ledger(Storage.open(job.output.url))


def rows_of(job: JobSpec) -> dict[str, dict[str, Any]]:
    return {row["uid"]: row for table in ledger_of(job).read_live() for row in table.to_pylist()}


def test_both_ways_of_auditing_find_the_same_and_touch_no_row(shards: Path) -> None:
    quiet = ProgressView.for_terminal(quiet=True)
    inside = spec(shards, "inside", rate=RATE, seed=6, margin=0.99, windows=1)
    afterwards = spec(shards, "afterwards", seed=6)
    for job in (inside, afterwards):
        assert run_job(job, progress=quiet).exit_code is ExitCode.OK

    audited, plain = rows_of(inside), rows_of(afterwards)
    columns = ("key", "status", "text", "n_tokens", "flops_executed", "flops_full_same_length", "flops_checks")
    layers = ("image_layers_run", "text_layers_run", "decoder_layers_run", "checks")
    for uid, row in plain.items():
        assert {name: row[name] for name in columns + layers} == {name: audited[uid][name] for name in columns + layers}
        assert row["shadow"] is None
    assert sum(row["status"] == "ok" for row in plain.values()) == 23
    found = shadow_estimate(ledger_of(inside))
    assert isinstance(found, ShadowEstimate)
    assert 3 < found.shadowed < 15
    assert found.shadowed == sum(row["shadow"] is not None for row in audited.values())
    assert (found.lost, found.margin, found.source) == (0, 0.99, "run")
    windows = timing_windows(ledger_of(inside))
    assert isinstance(windows, TimingWindows)
    assert windows.windows[0].rows >= 4 * windows.windows[0].rows_in_flight
    seconds = overhead_seconds(ledger_of(inside))
    assert (seconds.processes_unknown, seconds.failed_attempts_s) == (0, 0)
    assert all((value or 0) > 0 for value in (seconds.load_s, seconds.warm_up_s, seconds.shadow_s, seconds.windows_s))
    manifest = ledger_of(inside).manifest()
    assert manifest is not None
    metrics = [path for path in manifest.files if path.startswith("metrics/")]
    assert [f"metrics/{path.name}" for path in Path(inside.output.url, "metrics").iterdir()] == metrics

    data = {path.name: path.read_bytes() for path in Path(afterwards.output.url, "data").iterdir()}
    outcome = audit_job(afterwards.output.url, rate=RATE, windows=1, progress=quiet)

    assert outcome.exit_code is ExitCode.OK
    record = outcome.record
    assert record is not None
    assert (record.rule_from, record.rows_selected, record.rows_shadowed) == ("audit", found.selected, found.shadowed)
    assert record.rows_reproduced == record.rows_shadowed
    assert {path.name: path.read_bytes() for path in Path(afterwards.output.url, "data").iterdir()} == data
    shadows = {row["uid"]: row["shadow"] for row in audited.values() if row["shadow"]}
    table = pq.read_table(Path(afterwards.output.url, record.shadows_path)).to_pylist()
    assert {row["uid"]: row["shadow"] for row in table} == shadows
    later = shadow_estimate(ledger_of(afterwards))
    assert isinstance(later, ShadowEstimate)
    assert (later.rule_from, later.margin_from, later.audits) == ("audit", None, 1)
    as_run = {"source": "run", "attempt": None, "audits": 0, "rule_from": "plan"}
    margin = {"margin": 0.99, "margin_from": "plan", "margin_met": found.margin_met}
    assert replace(later, **as_run, **margin) == found
    timed = timing_windows(ledger_of(afterwards))
    assert isinstance(timed, TimingWindows)
    assert (timed.source, len(timed.windows)) == ("audit", 1)
    manifest = ledger_of(afterwards).manifest()
    assert manifest is not None
    assert {record.path, record.shadows_path} <= manifest.files.keys()
    assert overhead_seconds(ledger_of(afterwards)).windows_s == 0, "the audit's time is not the job's"

    with pytest.raises(ConfigError, match=r"the plan fixes audit.seed = 6"):
        audit_job(inside.output.url, rate=0.9, progress=quiet)
    with pytest.raises(FingerprintMismatch, match=r"audit.rates"):
        run_job(spec(shards, "inside", rate=0.9, seed=6, margin=0.99, windows=1), progress=quiet)
    change_an_image(shards / "00001.tar")
    with pytest.raises(InputsChanged, match=r"not the ones that the job answered, .*: 000001-00001/"):
        audit_job(afterwards.output.url, rate=1.0, progress=quiet)
    assert len(list(Path(afterwards.output.url, "audit").iterdir())) == 2, "a refused audit leaves nothing"
    metrics = {f"metrics/{path.name}" for path in Path(afterwards.output.url, "metrics").iterdir()}
    assert metrics == {path for path in manifest.files if path.startswith("metrics/")}
    (shards / "00000.tar").write_bytes(b"x" + (shards / "00000.tar").read_bytes())
    with pytest.raises(FingerprintMismatch, match="000000-00000"):
        audit_job(afterwards.output.url, rate=RATE, progress=quiet)


def change_an_image(shard: Path) -> None:
    """Change one byte behind an image's data, and nothing that tells a file's version."""
    facts, data = os.stat(shard), bytearray(shard.read_bytes())
    end = data.index(b"\xff\xd9") + 1
    data[end] ^= 1
    shard.write_bytes(data)
    os.utime(shard, ns=(facts.st_atime_ns, facts.st_mtime_ns))
