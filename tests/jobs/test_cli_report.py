from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result


def test_report_writes_and_says_the_verdict(mue: Callable[..., Result], finished: Any) -> None:
    result = mue("report", finished.folder)
    assert result.exit_code == 0
    assert "Stopping early spared 38.3 %" in result.stdout
    assert "not measured" in result.stdout
    assert "index.html" in result.stderr
    facts = json.loads(mue("report", finished.folder, "--json", "-q").stdout)
    assert facts["headline"]["rows"] == "10"


def test_the_printed_factors_can_be_stated(mue: Callable[..., Result], finished: Any, tmp_path: Path) -> None:
    printed = mue("report", finished.folder, "--print-factors")
    assert not (finished.folder / "report").exists()
    (tmp_path / "factors.yaml").write_text(printed.stdout)
    facts = json.loads(mue("report", finished.folder, "--factors", tmp_path / "factors.yaml", "--json").stdout)
    assert facts["footprint"]["factors"]["pue"]["value"] == 1.3
    (tmp_path / "factors.yaml").write_text("pue: {value: 1.3}")
    assert mue("report", finished.folder, "--factors", tmp_path / "factors.yaml").exit_code == 2


def test_a_folder_without_a_job_is_a_usage_error(mue: Callable[..., Result], tmp_path: Path) -> None:
    assert mue("report", tmp_path / "none").exit_code == 2
