from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from typer.testing import Result


def test_diff_prints_a_table_or_json(mue: Callable[..., Result], make_job: Any) -> None:
    a, b = make_job("a"), make_job("b")
    for job, text in ((a, "cat"), (b, "dog")):
        job.commit("1", *(job.row("000000-a", n, text=text) for n in range(3)))
    table = mue("diff", a.folder, b.folder)
    assert table.exit_code == 0
    assert "0.00 %: 0 of 3 rows" in table.stdout
    assert "job A is not finished" in table.stderr
    facts = json.loads(mue("diff", a.folder, b.folder, "--json", "--most", "2", "-q").stdout)
    assert (facts["rows"]["changed"], len(facts["changes"])) == (3, 2)


def test_a_folder_without_a_job_is_a_usage_error(mue: Callable[..., Result], job: Any, tmp_path: Any) -> None:
    assert mue("diff", job.folder, tmp_path / "none").exit_code == 2
