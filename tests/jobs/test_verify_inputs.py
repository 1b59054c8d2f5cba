"""Shards are held against the plan by version, and against the receipts by the rows that they have."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.verify_check import Check, Tally, guarded
from jobs.verify_folder import Folder, read_folder
from jobs.verify_inputs import InputsAtHand, inputs
from pipeline.plan import Plan, plan_shards
from pipeline.records import COMMIT_SCHEMA
from pipeline.shard_rows import iter_tables
from pipeline.spec import FieldsConfig

ROWS = 6


def images() -> list[bytes]:
    return [f"image {number}".encode() for number in range(ROWS)]


def tar(path: Path, *, cut: int = 0) -> Path:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as file:
        for number, image in enumerate(images()):
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = len(image)
            file.addfile(member, io.BytesIO(image))
    whole = data.getvalue()
    content = whole[: cut * 1024 + 700] if cut else whole
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def parquet(path: Path) -> Path:
    pq.write_table(pa.table({"image": pa.array(images(), pa.binary())}), path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    for number, image in enumerate(images()):
        (path / f"{number}.jpg").write_bytes(image)
    return path


MAKERS: list[tuple[Callable[[Path], Path], str]] = [
    (tar, "a.tar"),
    (parquet, "a.parquet"),
    (folder, "a"),
    (tar, "a.tar.gz"),
]


@pytest.fixture
def job_over(tmp_path: Path, make_job: Any) -> Callable[..., Folder]:
    """`job_over(shard, rows=4, end=...)`: a job that says to have read so many rows of it, and how that ended."""

    def job_over(shard: Path, *, rows: int | None = None, end: dict[str, Any] | None = None) -> Folder:
        job = make_job(f"{rows} rows of {shard.name}")
        [planned] = plan_shards([str(shard)])
        raw = iter_tables(
            planned.url, planned.shard_id, suffixes=("jpg",), max_member_bytes=1 << 20, files=planned.files
        )
        *found, control = (row for table in raw for row in table.to_pylist())
        said = found if rows is None else found[:rows]
        committed = [
            job.row(planned.shard_id, row["row_in_shard"], image_sha256=sha256(row["image"] or b"").hexdigest())
            for row in said
        ]
        ended = {name: value for name, value in control.items() if name in COMMIT_SCHEMA.names}
        job.commit("a1-0", *committed, ended | {"shard_total": len(said)} | (end or {}))
        plan = Plan.model_validate(dict(job.plan) | {"shards": (planned,), "fields": FieldsConfig()})
        spec = {"inputs": {"urls": [str(shard)]}, "output": {"url": "out"}}
        return replace(read_folder(job.ledger), plan=plan, attempts=({"attempt": "a1", "spec": spec},))

    return job_over


def looked_at(folder: Folder, **at_hand: Any) -> Check:
    return guarded(Tally("inputs", ""), lambda tally: inputs(folder, tally, InputsAtHand(**at_hand)))


def said(check: Check) -> str:
    return " ".join(map(str, (*check.findings, *check.notes)))


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_an_honest_job_passes_where_it_was_and_elsewhere(
    make: Callable[[Path], Path], name: str, tmp_path: Path, job_over: Callable[..., Folder]
) -> None:
    job = job_over(make(tmp_path / name))
    assert looked_at(job, read=1).verdict == "pass"
    (tmp_path / "copy").mkdir()
    made_anew = make(tmp_path / "copy" / name)
    assert looked_at(job, moved=str(made_anew.parent)).verdict == "pass"


@pytest.mark.parametrize(("make", "name"), MAKERS)
def test_rows_that_were_left_out_are_missed(
    make: Callable[[Path], Path], name: str, tmp_path: Path, job_over: Callable[..., Folder]
) -> None:
    job = job_over(make(tmp_path / name), rows=4)
    expected = f"expected 4 rows and a proper end, as committed, found {ROWS} rows and a proper end"
    check = looked_at(job)
    if name.endswith(".gz"):
        assert check.verdict == "pass"
        assert "rows of 1 shards are not counted" in said(check)
        check = looked_at(job, read=1)
    assert check.verdict == "mismatch"
    assert expected in said(check)
    (tmp_path / "copy").mkdir()
    assert expected in said(looked_at(job, moved=str(make(tmp_path / "copy" / name).parent)))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_cut_shard_is_as_bad_as_it_was(name: str, tmp_path: Path, job_over: Callable[..., Folder]) -> None:
    shard = tar(tmp_path / name, cut=3)
    assert looked_at(job_over(shard)).verdict == "pass"
    shorter = looked_at(job_over(shard, rows=2))
    assert shorter.verdict == "mismatch"
    assert "expected 2 rows and no proper end (truncated)" in said(shorter)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("truncated", "mismatch"),
        ("corrupt_header", "mismatch"),
        ("unreadable", "not_checked"),
        ("changed", "not_checked"),
    ],
)
def test_a_whole_shard_that_was_said_to_be_bad(
    code: str, verdict: str, tmp_path: Path, job_over: Callable[..., Folder]
) -> None:
    end = {"shard_state": "bad", "shard_code": code, "shard_message": "no end"}
    check = looked_at(job_over(tar(tmp_path / "a.tar"), rows=4, end=end))
    assert check.verdict == verdict
    assert f"4 rows and no proper end ({code})" in said(check)


def test_a_shard_that_storage_does_not_give_is_not_at_hand(tmp_path: Path, job_over: Callable[..., Folder]) -> None:
    job = job_over(tar(tmp_path / "a.tar.gz"))
    shutil.move(tmp_path / "a.tar.gz", tmp_path / "elsewhere")
    check = looked_at(job, read=1)
    assert check.verdict == "not_checked"
    assert "1 of 1 input shards are not at hand" in said(check)
