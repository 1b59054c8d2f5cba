"""Failed rows run anew in a real job: they alone change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.progress import ProgressView
from jobs.retry import retry_failed
from jobs.run import run_job
from jobs.verify import VerifySettings, verify
from mue_model.config import ConfigError, EngineConfig
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.spec import ActorsConfig, InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

pytestmark = pytest.mark.usefixtures("ray_local")


def test_forced_rows_fail_again_with_one_attempt_more_and_all_others_stay(
    tmp_path: Path, draw_shard: Callable[..., dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_shard(tmp_path / "00000.tar", 30, seed=1, replaced={3: b"no image at all", 20: b""})
    draw_shard(tmp_path / "00001.tar", 10, seed=2)
    output = str(tmp_path / "out")
    spec = JobSpec(
        inputs=InputsConfig(urls=("*.tar",)),
        output=OutputConfig(url=output, rows_per_part=16),
        actors=ActorsConfig(rows_per_call=8),
        engine=EngineConfig(threads=1),
        model="seeded",
    )
    silent = ProgressView("silent")
    assert run_job(spec, progress=silent).exit_code is ExitCode.OK
    ledger = Ledger(Storage.open(output))
    before = {row["uid"]: row for table in ledger.read_live() for row in table.to_pylist()}
    first = ledger.manifest()

    assert retry_failed(output, force=False, progress=silent).rows_wanted == 0, "both failures are the images' own"
    with pytest.raises(ConfigError, match="--code empty_image: such rows fail at every attempt; add --force"):
        retry_failed(output, codes=["empty_image"], force=False, progress=silent)
    assert ledger.manifest() == first
    draw_shard(tmp_path / "00002.tar", 1, seed=3)  # which the job's pattern would now match too
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    outcome = retry_failed(output, codes=["unknown_format"], force=True, progress=silent)

    assert (outcome.rows_wanted, outcome.rows_by_status["failed"], outcome.rows_absent) == (1, 1, 0)
    after = {row["uid"]: row for table in ledger.read_live() for row in table.to_pylist()}
    changed = {uid for uid in before if after[uid] != before[uid]}
    assert changed == {"000000-00000/3/0"}
    assert [rows["000000-00000/3/0"]["attempts"] for rows in (before, after)] == [1, 2]
    manifest = ledger.manifest()
    assert first is not None
    assert manifest is not None
    assert (manifest.rows, len(manifest.parts)) == (40, len(first.parts))
    assert len(set(manifest.parts) - set(first.parts)) == 1, "the part that held it was written anew"
    verified = verify(ledger, VerifySettings(rerun=8))
    assert {check.verdict for check in verified.checks} == {"pass", "not_checked"}
    assert verified.evidence.level == 2, "nothing was shadowed"
