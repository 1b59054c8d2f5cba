"""A training run as the command line describes it. Imports neither torch nor ray."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from jobs.spec import COMMAND_LINE, parse_override, with_setting
from mue_model.config import Config, ConfigError, Streams, parse_config
from mue_model.training.recipe import FINE_TUNING, RECIPES, Recipe
from mue_model.training.settings import TrainingConfig
from mue_model.training.sizes import Size


class TrainSpec(Config):
    """All that `mue train` does."""

    corpus: str
    """Folder with the shards in train/, and in val/ if there are any to validate on."""
    output: str
    """Folder of the run: checkpoint, metrics and curves, and in model/ the trained model."""
    recipe_name: str
    recipe: Recipe
    training: TrainingConfig
    size: Size | None
    """Of a model with new weights; None with `init`."""
    init: str | None
    """Model folder whose weights are trained on."""
    streams: Streams | None
    """None: decomposed for new weights, else as in `init`."""
    limit: int | None = Field(default=None, gt=0)
    """Rows of train/ that are used, its first ones; None for all."""
    device: str
    """torch device; `auto` takes CUDA where there is one."""
    threads: int = Field(ge=0)
    """CPU threads of torch; 0 leaves torch's own choice."""
    overrides: tuple[str, ...]
    """--set as it was given."""

    def command(self) -> str:
        """Return the command that does the same, with names instead of paths."""
        words = ["mue", "train", _name(self.corpus), "--output", _name(self.output), "--recipe", self.recipe_name]
        words += ["--init", _name(self.init)] if self.init else ["--size", str(self.size)]
        words += ["--streams", self.streams] if self.streams else []
        words += ["--steps", str(self.training.steps), "--seed", str(self.training.seed)]
        words += ["--limit", str(self.limit)] if self.limit else []
        words += [word for override in self.overrides for word in ("--set", override)]
        return shlex.join(words)


def load_train_spec(
    corpus: str,
    output: str,
    *,
    recipe: str = "ours",
    steps: int | None = None,
    seed: int | None = None,
    size: Size | None = None,
    init: str | None = None,
    streams: Streams | None = None,
    limit: int | None = None,
    device: str = "auto",
    threads: int = 0,
    overrides: Sequence[str] = (),
) -> TrainSpec:
    """Return the valid run of a command line; `overrides` (--set) win over all else.

    Raises:
        ConfigError: naming every setting that is wrong.
    """
    if recipe not in RECIPES:
        raise ConfigError(f"--recipe {recipe}: expected {', '.join(RECIPES)}")
    if init and size:
        raise ConfigError(f"--size {size} with --init: the size is that of {init}; leave --size out")
    document: dict[str, Any] = {
        "corpus": corpus,
        "output": output,
        "recipe_name": recipe,
        "recipe": RECIPES[recipe].model_dump() | (FINE_TUNING if init else {}),
        "training": {},
        "size": None if init else size or "small",
        "init": init,
        "streams": streams,
        "limit": limit,
        "device": device,
        "threads": threads,
        "overrides": tuple(overrides),
    }
    given = [(("training", key), value) for key, value in (("steps", steps), ("seed", seed)) if value is not None]
    for keys, value in [*given, *(parse_override(text) for text in overrides)]:
        if keys[0] not in ("recipe", "training") or len(keys) != 2:
            raise ConfigError(f"--set {'.'.join(keys)}: expected recipe.KEY or training.KEY")
        document = with_setting(document, keys, value, where=COMMAND_LINE)
    return parse_config(TrainSpec, document, where=COMMAND_LINE)


def _name(path: str) -> str:
    return Path(path).resolve().name
