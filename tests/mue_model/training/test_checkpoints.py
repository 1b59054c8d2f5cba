from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mue_model.training.checkpoints import CHECKPOINT_FILE, TrainingMismatch, read_checkpoint, write_checkpoint
from mue_model.training.settings import TrainingError

CPU = torch.device("cpu")
SETTINGS = {"recipe": {"rate": 0.1, "name": "a"}, "steps": 3}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, SETTINGS, {"step": 2, "model": {"w": torch.arange(3.0)}})
    state = read_checkpoint(tmp_path, SETTINGS, CPU)
    assert state is not None
    assert state["step"] == 2
    assert torch.equal(state["model"]["w"], torch.arange(3.0))
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_none_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path, SETTINGS, CPU) is None


def test_every_setting_that_differs_is_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, SETTINGS, {"step": 2})
    with pytest.raises(TrainingMismatch) as caught:
        read_checkpoint(tmp_path, {"recipe": {"rate": 0.2, "name": "a"}, "seed": 1}, CPU)
    for part in ("recipe.rate is 0.2, was 0.1", "seed is 1, was None", "steps is None, was 3", "--output"):
        assert part in str(caught.value)
    assert "name" not in str(caught.value)


def test_a_setting_that_did_not_exist_then_had_its_default(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, SETTINGS, {"step": 2})
    defaults = {"recipe": {"rate": 7.0, "new": 0, "unasked": 1}}
    now = {"recipe": {**SETTINGS["recipe"], "new": 0}, "steps": 3}  # type: ignore[dict-item]
    assert read_checkpoint(tmp_path, now, CPU, defaults=defaults) is not None
    changed = {"recipe": {**SETTINGS["recipe"], "new": 5}, "steps": 3}  # type: ignore[dict-item]
    with pytest.raises(TrainingMismatch, match=r"recipe\.new is 5, was 0"):
        read_checkpoint(tmp_path, changed, CPU, defaults=defaults)


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_damaged_one_is_an_error_that_says_what_to_do(tmp_path: Path, damage: str) -> None:
    write_checkpoint(tmp_path, SETTINGS, {"step": 2, "w": torch.zeros(1000)})
    path = tmp_path / CHECKPOINT_FILE
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "foreign": b"not a checkpoint"}[damage])
    with pytest.raises(TrainingError, match=rf"{CHECKPOINT_FILE} is no whole checkpoint .*delete it to begin anew"):
        read_checkpoint(tmp_path, SETTINGS, CPU)


def test_nothing_in_it_is_executed(tmp_path: Path) -> None:
    torch.save({"settings": "{}", "step": print}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        read_checkpoint(tmp_path, {}, CPU)
