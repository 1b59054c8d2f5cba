"""Stretches of layers after which a row can leave: where nothing is ever checked, layers run without a stop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mue_model.exits import ExitPolicy, Stage


class Stretch(NamedTuple):
    """Layers `first` to `end` - 1, which a group runs in one go."""

    first: int
    end: int


def checked_at(policy: ExitPolicy, stage: Stage, layers: int, steps: int = 1) -> np.ndarray:
    """Return bool [layers, steps]: whether a row may exit there. The last layer is never asked: all leave."""
    checked = np.zeros((layers, steps), dtype=bool)
    for layer in range(layers - 1):
        for step in range(steps):
            checked[layer, step] = policy.may_exit(stage, layer, step)
    return checked


def stretches_of(checked: np.ndarray) -> tuple[Stretch, ...]:
    """Return the layers of `checked` [layers, steps] cut behind every one that is checked at some step."""
    ends = [*(np.flatnonzero(checked[:-1].any(axis=1)) + 1).tolist(), len(checked)]
    return tuple(Stretch(first, end) for first, end in zip([0, *ends], ends, strict=False))
