"""A folder is there whole or not at all, and nothing of the user's is ever deleted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mue_model.appearing_folder import appearing_folder, check_target
from mue_model.model_folder import ModelFolderError

OURS = {"exits.json", "model.safetensors"}


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def write(folder: Path, text: str) -> None:
    (folder / "exits.json").write_text(text, "utf-8")


def test_it_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model"
    with appearing_folder(target) as folder:
        write(folder, "1")
        assert not target.exists()
    assert content(target) == {"exits.json": "1"}
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_it_replaces_what_is_there_only_when_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    write(target, "old")

    def fill(*, fail: bool) -> None:
        with appearing_folder(target) as folder:
            write(folder, "new")
            if fail:
                raise OSError(28, "No space left on device")

    with pytest.raises(ModelFolderError, match="model cannot be written: .*No space left"):  # noqa: RUF043
        fill(fail=True)
    assert content(target) == {"exits.json": "old"}
    fill(fail=False)
    assert content(target) == {"exits.json": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_other_errors_pass_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), appearing_folder(tmp_path / "model"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_half_folder(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from mue_model.appearing_folder import appearing_folder\n"
        "with appearing_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'exits.json').touch(); time.sleep(60)"
    )
    target = tmp_path / "model"
    process = subprocess.Popen([sys.executable, "-c", code, str(target)])
    while not list(tmp_path.glob(".model.*.partial/exits.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()


def test_a_link_to_a_model_folder_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with appearing_folder(link) as folder:
        write(folder, "1")
    assert link.is_symlink()
    assert content(real) == {"exits.json": "1"}


@pytest.mark.parametrize("names", [["exits.json"], ["exits.json", "model.safetensors"], []])
def test_force_replaces_model_folders_and_empty_ones(tmp_path: Path, names: list[str]) -> None:
    target = tmp_path / "model"
    check_target(target, ours=OURS, force=False)
    target.mkdir()
    for name in names:
        (target / name).touch()
    check_target(target, ours=OURS, force=True)
    with pytest.raises(ModelFolderError, match="exists already; choose another folder, or pass --force"):
        check_target(target, ours=OURS, force=False)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model.safetensors"], r"is no model folder \(no exits\.json\)"),
        (["thesis.tex"], "is no model folder"),
        (["exits.json", "thesis.tex"], r"holds thesis\.tex, which no model folder has"),
    ],
)
def test_force_never_replaces_anything_else(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ModelFolderError, match=said):
        check_target(tmp_path, ours=OURS, force=True)
    with pytest.raises(ModelFolderError, match="is a file"):
        check_target(tmp_path / names[0], ours=OURS, force=True)
