from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result


def test_where_there_is_no_job_or_no_such_code_it_says_so(
    mue: Callable[..., Result], finished: Any, tmp_path: Path
) -> None:
    result = mue("retry", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no job here" in result.stderr
    result = mue("retry", finished.folder, "--code", "corupt_image")
    assert result.exit_code == 2
    assert "did you mean 'corrupt_image'" in result.stderr
    result = mue("retry", finished.folder, "--code", "corrupt_image")
    assert result.exit_code == 2
    assert "add --force" in result.stderr
