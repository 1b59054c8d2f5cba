from __future__ import annotations

import json
from collections.abc import Callable
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
