"""Files that were dropped, swapped, added, or are another run's, are found and named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.exit_codes import ExitCode


@pytest.mark.parametrize(
    ("outcome", "verdict", "said"),
    [
        ({"state": "done", "code": None}, "mismatch", "expected 15 rows and a proper end, as committed, found 16 rows"),
        ({"state": "bad", "code": "truncated"}, "mismatch", "expected 15 rows and no proper end (truncated)"),
        ({"state": "bad", "code": "unreadable"}, "not_checked", "nothing tells what was there then"),
    ],
)
def test_the_tail_of_a_shard_dropped(forged: Any, outcome: dict[str, str], verdict: str, said: str) -> None:
    """Its deep rows, perhaps: no row, receipt or plan is left that knows of them."""
    path = forged.parts()[3]
    receipt = f"done/{Path(path).stem}.json"
    forged.write_json(
        receipt,
        forged.json(receipt)
        | {"part": None, "ranges": {}, "totals": {"000000-00000": 15}}
        | {"shards": {"000000-00000": outcome | {"message": None}}},
    )
    (forged.folder / path).unlink()
    manifest = forged.manifest
    manifest["parts"] = [part for part in manifest["parts"] if part["path"] != path]
    manifest["rows"] -= 1
    forged.write_json("manifest.json", manifest)
    plan = forged.json("plan.json")
    plan["shards"][0]["rows"] = 15
    forged.write_json("plan.json", plan)

    found = forged.verify()

    [check] = [check for check in found.checks if check.name == "inputs"]
    assert check.verdict == verdict
    assert said in " ".join(map(str, (*check.findings, *check.notes)))
    assert {*forged.named(found)} <= {"inputs"}, "nothing else contradicts it"
    assert found.evidence.level < 2


def test_two_data_files_swapped(copy: Any) -> None:
    one, two = copy.parts()[:2]
    first, second = ((copy.folder / path).read_bytes() for path in (one, two))
    copy.write(one, second)
    copy.write(two, first)
    said = copy.mismatches()
    assert one in said["rows"]
    assert two in said["rows"]


@pytest.mark.parametrize("path", ["data/more.parquet", "done/more.json", "failures/more.json", "metrics/more.jsonl"])
def test_a_file_added(forged: Any, path: str) -> None:
    (forged.folder / path).parent.mkdir(exist_ok=True)
    (forged.folder / path).write_bytes(b"{}")
    found = forged.verify()
    assert path in forged.named(found).get("no_extra_files", "") + str([check.findings for check in found.checks])
    assert found.exit_code in (ExitCode.MISMATCH, ExitCode.EVIDENCE_MISSING)


def test_a_data_file_added_that_the_manifest_names(forged: Any) -> None:
    shutil.copy(forged.folder / forged.parts()[0], forged.folder / "data" / "more.parquet")
    manifest = forged.manifest
    [part] = [part for part in manifest["parts"] if part["path"] == forged.parts()[0]]
    manifest["parts"].append(part | {"path": "data/more.parquet"})
    manifest["rows"] += part["rows"]
    forged.write_json("manifest.json", manifest)
    said = forged.mismatches()
    assert "data/more.parquet: expected a receipt that counts" in said["receipts"]
    assert "headline" in said, "the ledger's rows are fewer than the manifest's"


def test_a_data_file_missing(forged: Any) -> None:
    path = forged.parts()[2]
    (forged.folder / path).unlink()
    found = forged.verify()
    assert found.exit_code is ExitCode.EVIDENCE_MISSING
    [digests] = [check for check in found.checks if check.name == "digests"]
    assert path in str(digests.findings[0])


def test_a_receipt_of_another_run(forged: Any) -> None:
    path = f"done/{Path(forged.parts()[0]).stem}.json"
    foreign = forged.json(path) | {"attempt": "20251231T000000-000000"}
    forged.write_json(path, foreign)
    assert f"{path}: expected an attempt that run.json knows" in forged.mismatches()["receipts"]


def test_a_part_of_another_run(forged: Any, run_here: Any, tmp_path: Path, labelled: Path) -> None:
    other = run_here(tmp_path / "other", [str(labelled)], exits="exact")
    path = forged.parts()[0]
    forged.write(path, (tmp_path / "other" / other.live_parts()[0].path).read_bytes())
    assert f"{path}: fingerprint" in forged.mismatches()["parts"]
