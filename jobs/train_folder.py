"""The folder of a training run: one run at a time, and only a model that came from it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mue_model.training.checkpoints import CHECKPOINT_FILE
from mue_model.training.settings import TrainingError

MODEL_FOLDER = "model"
_LOCK_FILE = ".lock"


@contextmanager
def training_folder(output: Path) -> Iterator[None]:
    """Make the folder and hold its lock, which a killed process gives back.

    Raises:
        TrainingError: it cannot be written, another run has it, or it holds a model whose checkpoint is gone.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / _LOCK_FILE).open("w")
    except OSError as error:
        raise TrainingError(f"{output} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another 'mue train' writes into {output}; wait for it, or stop it") from None
        if (output / MODEL_FOLDER).exists() and not (output / CHECKPOINT_FILE).exists():
            raise TrainingError(
                f"{output / MODEL_FOLDER} is there, but no {CHECKPOINT_FILE} it came from; use another --output"
            )
        yield
