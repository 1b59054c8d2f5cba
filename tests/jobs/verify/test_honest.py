"""An honest job passes, wherever it lies, and what is not there is no evidence."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from jobs.verify import verify
from pipeline.exit_codes import ExitCode
from pipeline.ledger import Ledger
from pipeline.storage import Storage


def test_an_honest_job_passes_every_test_that_can_be_made(honest: Path, copy_of: Any) -> None:
    found = copy_of(honest).verify(rerun=19)
    assert {check.name: check.verdict for check in found.checks if check.verdict != "pass"} == {
        "windows": "not_checked"
    }
    assert found.exit_code is ExitCode.OK
    assert found.evidence.level == 3
    examined = {check.name: check.examined for check in found.checks}
    assert (examined["rows"], examined["costs"], examined["rerun"]) == (19, 16, 19)
    assert examined["shadow_estimate"] > 3, "some rows were run at full depth"
    json.dumps(found.document())


def test_without_the_inputs_it_passes_at_a_lower_level(honest: Path, tmp_path: Path, copy_of: Any) -> None:
    copy = copy_of(Path(shutil.copytree(honest, tmp_path / "moved")))
    found = copy.verify(inputs=str(tmp_path / "nothing here"))
    assert found.exit_code is ExitCode.OK
    assert found.evidence.level == 1
    assert "--inputs" in found.evidence.steps[2].reason
    assert copy.verify(inputs=str(tmp_path / "nothing here"), rerun=2).exit_code is ExitCode.EVIDENCE_MISSING


def test_inputs_that_were_copied_are_known_by_their_images(
    honest: Path, tmp_path: Path, labelled: Path, broken_shard: Path, copy_of: Any
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for shard in (labelled, broken_shard):
        (moved / shard.name).write_bytes(shard.read_bytes())
    assert copy_of(honest).verify(inputs=str(moved), rerun=2).evidence.level == 3

    data = bytearray((moved / labelled.name).read_bytes())
    data[600] ^= 1
    (moved / labelled.name).write_bytes(bytes(data))
    assert "an image with SHA-256" in copy_of(honest).mismatches(inputs=str(moved))["inputs"]
    (moved / labelled.name).write_bytes(bytes(data) + bytes(512))
    assert "bytes, as planned" in copy_of(honest).mismatches(inputs=str(moved))["inputs"]


def test_a_folder_that_was_copied_is_known_by_its_images(
    run_here: Any, tmp_path: Path, labelled: Path, copy_of: Any
) -> None:
    with tarfile.open(labelled) as tar:
        members = [member for member in tar.getmembers() if member.name.endswith(".jpg")][:3]
        tar.extractall(tmp_path / "images", members, filter="data")
    run_here(tmp_path / "out", [str(tmp_path / "images")])
    moved = Path(shutil.copytree(tmp_path / "images", tmp_path / "moved" / "images"))
    for image in moved.iterdir():
        os.utime(image, (1, 1))

    found = copy_of(tmp_path / "out").verify(inputs=str(moved.parent), rerun=3)
    assert copy_of(tmp_path / "out").named(found) == {}
    assert {check.name: check.verdict for check in found.checks}["rerun"] == "pass"

    next(moved.iterdir()).unlink()
    assert {*copy_of(tmp_path / "out").mismatches(inputs=str(moved.parent), rerun=3)} == {"inputs", "rerun"}


def test_as_many_shadowed_rows_are_run_again_as_other_ones(honest: Path, copy_of: Any) -> None:
    [check] = [check for check in copy_of(honest).verify(rerun=2, seed=1).checks if check.name == "rerun"]
    assert 2 < check.examined <= 4
    assert " shadows at full depth" in check.notes[-1]
    assert ", and 0 shadows" not in check.notes[-1]
    assert check.verdict == "pass"


def test_a_model_that_is_not_at_hand(honest: Path, tmp_path: Path, copy_of: Any) -> None:
    found = copy_of(honest).verify(model=str(tmp_path))
    assert found.exit_code is ExitCode.EVIDENCE_MISSING
    [costs] = [check for check in found.checks if check.name == "costs"]
    assert costs.verdict == "missing"
    other = copy_of(honest).verify(model="seeded")
    assert other.exit_code is ExitCode.EVIDENCE_MISSING
    assert "--model" in str(other.document())


def test_an_unfinished_job_and_an_empty_folder_are_no_evidence(job: Any, tmp_path: Path, copy_of: Any) -> None:
    job.commit_shard("000000-a")
    for folder in (job.folder, tmp_path / "nothing"):
        found = copy_of(folder).verify()
        assert (found.exit_code, found.evidence.level) == (ExitCode.EVIDENCE_MISSING, 0)


def test_a_job_without_a_row_is_no_evidence(run_here: Any, tmp_path: Path, copy_of: Any) -> None:
    (tmp_path / "00000.tar").write_bytes(bytes(1024))
    run_here(tmp_path / "out", [str(tmp_path / "00000.tar")])
    assert copy_of(tmp_path / "out").verify().exit_code is ExitCode.EVIDENCE_MISSING


def test_hypotheses_pass_too(run_here: Any, tmp_path: Path, labelled: Path, copy_of: Any) -> None:
    fields = {"hypothesis": "json:ve[*].hypothesis", "label": "json:ve[*].label"}
    inputs = {"urls": [str(labelled)], "fields": fields}
    run_here(tmp_path / "out", [], inputs=inputs, task="entailment", audit={"rate": 0.3})
    copy = copy_of(tmp_path / "out")
    found = copy.verify(rerun=4)
    assert copy.named(found) == {}
    assert found.exit_code is ExitCode.OK
    labels = {"entailment", "neutral", "contradiction"}
    where = copy.edit_row(0, label=lambda row: sorted(labels - {row["label"]})[0])
    assert f"{where}: label" in copy.mismatches()["texts"]


def test_an_output_in_an_object_store(honest: Path, bucket: str) -> None:
    pytest.importorskip("s3fs").S3FileSystem(skip_instance_cache=True).put(
        f"{honest}/", f"{bucket}/out/", recursive=True
    )
    found = verify(Ledger(Storage.open(f"{bucket}/out")))
    assert {check.name: check.verdict for check in found.checks if check.verdict != "pass"} == {
        "windows": "not_checked"
    }
    assert found.evidence.level == 3


def test_the_command_ends_with_the_verdict(mue: Any, honest: Path, forged: Any) -> None:
    done = mue("verify", honest)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].endswith("L3 shadow audit with an interval"), "the level comes first"
    where = forged.edit_row(0, flops_executed=1)
    failed = mue("verify", forged.folder)
    assert failed.exit_code == 4
    assert where.split()[1] in failed.stdout
    assert mue("verify", forged.folder / "nowhere").exit_code == 5
    assert json.loads(mue("verify", honest, "--json").stdout)["verdict"] == "pass"
