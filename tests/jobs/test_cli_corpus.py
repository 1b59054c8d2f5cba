from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Mue = Callable[..., Result]
FEW = ("--rows", 12, "--val", 5, "--test", 5, "--size", 96, "--jobs", 1)


def test_it_writes_three_splits_and_says_so(mue: Mue, tmp_path: Path) -> None:
    result = mue("corpus", tmp_path / "out", *FEW, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["rows"], facts["drawn_now"], facts["shards"]) == (22, 22, 3)
    assert all((tmp_path / "out" / split / "00000.tar").is_file() for split in ("train", "val", "test"))
    assert "22 of 22 rows, 100%" in result.stderr
    again = mue("corpus", tmp_path / "out", *FEW, "--json")
    assert json.loads(again.stdout)["drawn_now"] == 0


def test_a_preview_needs_no_folder(mue: Mue, tmp_path: Path) -> None:
    result = mue("corpus", "--preview", tmp_path / "look.png", "--levels", "2", "--size", 96)
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "look.png") as sheet:
        assert sheet.format == "PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["look.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs a folder"),
        (("out", "--levels", "1;2"), "--levels '1;2': expected numbers from 1 to 5"),
        (("out", "--levels", "6"), "levels"),
        (("out", "--size", "64"), "size"),
        (("out", "--rows", "-1"), "rows"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(mue: Mue, arguments: tuple[str, ...], message: str) -> None:
    result = mue("corpus", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


def test_another_corpus_in_the_folder_is_kept_without_force(mue: Mue, tmp_path: Path) -> None:
    assert mue("corpus", tmp_path / "out", *FEW).exit_code == 0
    refused = mue("corpus", tmp_path / "out", *FEW, "--seed", 1)
    assert refused.exit_code == 2
    assert "seed is 0, not 1" in refused.stderr
    assert mue("corpus", tmp_path / "out", *FEW, "--seed", 1, "--force").exit_code == 0


def test_without_the_extra_it_says_what_to_install(mue: Mue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    result = mue("corpus", tmp_path / "out", *FEW)
    assert result.exit_code == 2
    assert "pip install 'mue[demo]'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_help_teaches(mue: Mue) -> None:
    text = mue("corpus", "--help").stdout
    for word in ("Levels:", "seven keys", "--preview", "CC BY-SA 4.0", "Example:", "ATTRIBUTION.md"):
        assert word in text
