"""Where a training run stands, on disk: whole or not at all, and for the same run only."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from mue_model.training.settings import TrainingError

CHECKPOINT_FILE = "training.pt"


class TrainingMismatch(TrainingError):
    """The output folder holds a training run with other settings."""


def write_checkpoint(folder: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write or replace the checkpoint of `folder`; whoever is killed meanwhile leaves the old one."""
    temporary = folder / f".{CHECKPOINT_FILE}.tmp"
    torch.save({"settings": json.dumps(settings), **state}, temporary)
    os.replace(temporary, folder / CHECKPOINT_FILE)


def read_checkpoint(
    folder: Path, settings: Mapping[str, Any], device: torch.device, *, defaults: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return the state in the checkpoint of `folder`, or None where there is none.

    A checkpoint from before some setting existed counts as one with that setting's value in `defaults`.

    Raises:
        TrainingMismatch: it belongs to a run with other settings; the message names those that differ.
        TrainingError: it cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        theirs, ours = dict(_flat(json.loads(state.pop("settings")))), dict(_flat(settings))
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    except (RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} is no whole checkpoint of 'mue train'; delete it to begin anew") from error
    theirs = {**{key: value for key, value in _flat(defaults or {}) if key in ours}, **theirs}
    differing = [
        f"{key} is {ours.get(key)!r}, was {theirs.get(key)!r}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    ]
    if differing:
        raise TrainingMismatch(
            f"{path} belongs to a run with other settings ({'; '.join(differing)}); "
            "give the same settings, or another --output"
        )
    return state


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting with its dotted name, as JSON would bring it back."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, list(value) if isinstance(value, tuple) else value
