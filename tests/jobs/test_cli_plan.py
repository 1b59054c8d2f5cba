"""The command `mue plan`: what it refuses, as `mue run` would. What it says is tested in test_dry_run*."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import Result


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
