"""Checks that pay: the layers where enough leave for what is saved to exceed what asking costs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mue_model.config import ExitConfig
from mue_model.tuning.family import ALWAYS, NEVER, exits_of
from mue_model.tuning.screen import Screen, Screened

LEAST_LEAVING = 0.01
"""Share of those asked that a check must let go. Its FLOPs are next to nothing, but it splits a group and waits for the
device, which only a measured pace shows."""


def worthwhile(screen: Screen, exits: ExitConfig) -> ExitConfig:
    """Return `exits` without checks that nobody reaches, that let next to nobody go, or cost more than they save."""
    vectors = exits.per_layer(screen.config)
    vectors.setdefault("candidates", vectors["decoder"])
    for stage in screen.stages:
        for layer, threshold in enumerate(vectors[stage][:-1]):
            if threshold >= NEVER:
                continue
            with_check = screen.of(ExitConfig.model_validate(vectors))
            asked, leaving = _traffic((with_check[task] for task in screen.tasks_of(stage)), stage, layer)
            own = vectors[stage]
            dropped = {**vectors, stage: (*own[:layer], NEVER, *own[layer + 1 :])}
            without = screen.of(ExitConfig.model_validate(dropped))
            if (
                not asked
                or leaving < LEAST_LEAVING * asked
                or (threshold > ALWAYS and screen.spent(without) <= screen.spent(with_check))
            ):
                vectors = dropped
    return exits_of({stage: vectors[stage] for stage in screen.stages}, screen.decoder_signal)


def _traffic(found: Iterable[Screened], stage: str, layer: int) -> tuple[int, int]:
    """Return how many states were asked after a layer, and how many left there."""
    depths = np.concatenate([_depths(own, stage) for own in found])
    return int((depths > layer).sum()), int((depths == layer + 1).sum())


def _depths(found: Screened, stage: str) -> np.ndarray:
    if stage in ("decoder", "candidates"):
        return np.concatenate([trace.decoder for trace in found.traces])
    return np.array([trace.text if stage == "text" else trace.image for trace in found.traces])
