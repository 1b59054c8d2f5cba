from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result


def test_show_and_digest_agree(mue: Callable[..., Result]) -> None:
    shown, digest = mue("model", "show", "seeded", "--json"), mue("model", "digest", "seeded")
    assert json.loads(shown.stdout)["digest"] == digest.stdout.strip()
    assert "untrained" in mue("model", "show", "seeded").stdout


def test_no_model_there_is_a_usage_error(mue: Callable[..., Result], tmp_path: Path) -> None:
    result = mue("model", "show", tmp_path / "none")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert str(tmp_path / "none") in result.stderr
