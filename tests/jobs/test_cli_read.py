from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result


def test_status_is_data_on_stdout(mue: Callable[..., Result], finished: Any) -> None:
    text, facts = mue("status", finished.folder), mue("status", finished.folder, "--json")
    assert text.exit_code == facts.exit_code == 0
    assert "finished: every row is committed exactly once" in text.stdout
    assert json.loads(facts.stdout)["summary"]["flops_executed"] == 5400
    assert text.stderr == facts.stderr == ""


def test_inspect_by_uid_and_key(mue: Callable[..., Result], finished: Any) -> None:
    (row,) = json.loads(mue("inspect", "000001-b/2/0", "--output", finished.folder, "--json").stdout)
    assert row["key"] == "key-2"
    assert len(json.loads(mue("--json", "inspect", "key-2", "-o", finished.folder).stdout)) == 2
    assert "key-2" in mue("inspect", "000001-b/2/0", "-o", finished.folder).stdout
    missing = mue("inspect", "000001-b/99/0", "-o", finished.folder)
    assert (missing.exit_code, missing.stdout) == (1, "")


def test_failures_are_lines(mue: Callable[..., Result], finished: Any) -> None:
    result = mue("failures", finished.folder)
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == "failed rows: 1, bad shards: 0\n"
    assert json.loads(mue("failures", finished.folder, "--json").stdout)["code"] == "corrupt_image"
    assert mue("failures", finished.folder, "--code", "truncated", "-q").output == ""
    assert mue("failures", finished.folder, "--code", "nonsense").exit_code == 2


def test_export_to_stdout_and_to_a_file(mue: Callable[..., Result], finished: Any, tmp_path: Path) -> None:
    result = mue("export", finished.folder, "--format", "jsonl")
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 9
    written = mue("export", finished.folder, "--format", "txt", "--status", "all", "--to", tmp_path / "t.txt")
    assert written.stdout == ""
    assert written.stderr == f"10 rows written to {tmp_path / 't.txt'}\n"
    assert len((tmp_path / "t.txt").read_text().splitlines()) == 10


def test_exporting_an_unfinished_job_is_said(mue: Callable[..., Result], job: Any) -> None:
    job.commit_shard("000000-a")
    assert "not finished" in mue("export", job.folder, "--format", "txt").stderr
