"""The command `mue plan`: what it refuses, as `mue run` would. What it says is tested in test_dry_run*."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import Result


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rows", "1e400"),
        ("--rows", "1e308"),
        ("--rows", "1.1e15"),
        ("--rows", "nan"),
        ("--rows", "0"),
        ("--nodes", "9" * 400),
        ("--nodes", "1000001"),
        ("--nodes", "0"),
        ("--gpus", "9" * 400),
        ("--gpus", "-1"),
        ("--cpus", "9" * 400),
        ("--actor-rows-per-s", "1e-320"),
        ("--actor-rows-per-s", "1e308"),
        ("--actor-rows-per-s", "0"),
        ("--actor-rows-per-s", "nan"),
        ("--price-per-hour", "1e308"),
        ("--price-per-hour", "inf"),
        ("--price-per-hour", "-1"),
    ],
    ids=lambda word: word[:20],
)
def test_a_cluster_that_nobody_has_is_refused_in_a_line_before_a_row_is_answered(
    mue: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    monkeypatch.setattr("jobs.dry_run.dry_run", lambda *args, **options: pytest.fail("rows were answered"))
    words = ["a.tar", "--output", tmp_path / "out", "--nodes", "4", f"{option}={value}"]
    result = mue("plan", *words)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {option} ")
    assert len(line) < 200


def test_what_a_run_would_refuse_is_refused_and_nothing_is_written(
    mue: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    pq.write_table(pa.table({"url": ["a"], "path": ["b"]}), "unclear.parquet")
    for arguments, said in (
        (["gone.tar"], r"gone.tar (not found)"),
        (["unclear.parquet"], "columns url and path may all be the image"),
        (["a.tar", "--exits", "nonsense"], "has the presets"),
        (["a.tar", "--set", "inputs.fields.image=column:a;column:b"], "give one column"),
    ):
        result = mue("plan", *arguments, "--output", "out", "--model", "seeded")
        assert result.exit_code == 2
        assert said in result.stderr
    assert not (tmp_path / "out").exists()
