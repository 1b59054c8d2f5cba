"""`mue run` on a folder that holds a job already: what is refused, in which words, and with which exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from jobs.planning import prepare
from pipeline.lease_keeper import held_lease
from pipeline.ledger import Ledger
from pipeline.plan import Plan
from pipeline.spec import InputsConfig, JobSpec, OutputConfig
from pipeline.storage import Storage

Mue = Callable[..., Result]


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Ledger, Plan]:
    """A job on two empty tars, planned and not begun."""
    for name in ("00000.tar", "00001.tar"):
        (tmp_path / name).write_bytes(bytes(1024))
        os.utime(tmp_path / name, ns=(0, 1_700_000_000_000_000_000))
    spec = JobSpec(
        inputs=InputsConfig(urls=(_urls(tmp_path),)), output=OutputConfig(url=str(tmp_path / "out")), model="seeded"
    )
    ledger = Ledger(Storage.open(spec.output.url))
    return ledger, ledger.adopt_plan(prepare(spec).plan)


def _urls(folder: Path) -> str:
    return str(folder / "{00000..00001}.tar")


def _run(mue: Mue, folder: Path, *options: str) -> Result:
    return mue("run", _urls(folder), "--output", folder / "out", "--model", "seeded", *options)


@pytest.mark.usefixtures("planned")
def test_other_settings_are_named_with_both_values(mue: Mue, tmp_path: Path) -> None:
    result = _run(mue, tmp_path, "--set", "filters.min_side=32", "--set", "generation.max_tokens=5")
    assert result.exit_code == 2
    assert "filters.min_side: 0 -> 32; generation.max_tokens: 16 -> 5." in result.stderr
    assert "Choose another --output, or go back to the settings" in result.stderr


def test_a_changed_shard_is_named_with_both_sizes_and_times(
    mue: Mue, tmp_path: Path, planned: tuple[Ledger, Plan]
) -> None:
    (tmp_path / "00001.tar").write_bytes(bytes(2048))
    os.utime(tmp_path / "00001.tar", ns=(0, 1_700_000_060_000_000_000))
    result = _run(mue, tmp_path)
    assert result.exit_code == 2
    assert (
        "shards changed: 000001-00001 (1,024 bytes of 2023-11-14 22:13:20.000000 UTC -> "
        "2,048 bytes of 2023-11-14 22:14:20.000000 UTC)"
    ) in result.stderr
    assert "000000-00000" not in result.stderr, "the other one is as it was"
    assert planned[0].receipts() == []


def test_a_second_driver_is_refused_and_writes_nothing(mue: Mue, tmp_path: Path, planned: tuple[Ledger, Plan]) -> None:
    ledger, _ = planned
    with held_lease(ledger.storage, attempt="a1", length_s=60):
        before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
        result = _run(mue, tmp_path)
        assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert result.exit_code == 1
    assert f"is being worked on by process {os.getpid()} on " in result.stderr
    assert "(attempt a1)" in result.stderr


def test_a_finished_job_needs_no_lease_and_writes_nothing(mue: Mue, finished_plan: tuple[Ledger, Plan]) -> None:
    ledger, plan = finished_plan
    folder = Path(ledger.storage.url)
    with held_lease(ledger.storage, attempt="a1", length_s=60):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        result = mue("--json", "run", _urls(folder.parent), "--output", folder, "--model", "seeded")
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["summary"]["shards_done"] == len(plan.shards)


def test_a_job_that_was_killed_before_its_manifest_gets_it_without_opening_a_shard(
    mue: Mue, finished_plan: tuple[Ledger, Plan], tmp_path: Path
) -> None:
    ledger, plan = finished_plan
    ledger.storage.delete("manifest.json")
    result = _run(mue, tmp_path)
    assert result.exit_code == 0, result.stderr
    assert ledger.finalized(plan)
    assert len(ledger.receipts()) == 1, "nothing was read again"


def test_a_finished_job_whose_receipts_were_compacted_gets_a_new_manifest(
    mue: Mue, finished_plan: tuple[Ledger, Plan], tmp_path: Path
) -> None:
    ledger, plan = finished_plan
    ledger.compact(at_least=1)
    assert not ledger.finalized(plan), "the driver died before it wrote the manifest anew"
    assert _run(mue, tmp_path).exit_code == 0
    assert ledger.finalized(plan)


@pytest.fixture
def finished_plan(planned: tuple[Ledger, Plan], make_job: Any) -> tuple[Ledger, Plan]:
    """The same job with both shards' ends committed."""
    ledger, plan = planned
    job = make_job("other")
    job.ledger = ledger
    job.commit("a1-0", *(job.end(shard.shard_id, 0) for shard in plan.shards))
    ledger.finalize(plan)
    return ledger, plan
