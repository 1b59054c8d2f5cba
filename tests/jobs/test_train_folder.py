from __future__ import annotations

from pathlib import Path

import pytest

from jobs.train_folder import training_folder
from mue_model.training.settings import TrainingError


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with training_folder(tmp_path / "deep" / "run"):
        with (
            pytest.raises(TrainingError, match="another 'mue train' writes into"),
            training_folder(tmp_path / "deep" / "run"),
        ):
            pass
        with training_folder(tmp_path / "other"):
            pass
    with training_folder(tmp_path / "deep" / "run"):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"), training_folder(tmp_path / "file"):
        pass


def test_a_model_without_its_checkpoint_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"no training\.pt it came from"), training_folder(tmp_path / "run"):
        pass
    (tmp_path / "run" / "training.pt").write_text("")
    with training_folder(tmp_path / "run"):
        pass


def test_errors_inside_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), training_folder(tmp_path / "run"):
        raise PermissionError
