"""From a model's name to its facts. No torch import."""

from __future__ import annotations

from pathlib import Path

from mue_model.model_folder import ModelFacts, read_model_folder
from mue_model.seeded import SEEDED_NAME, seeded_facts


def model_facts(name: str) -> ModelFacts:
    """Return the facts of the model called `name`: `seeded`, or a model folder's path."""
    return seeded_facts() if name == SEEDED_NAME else read_model_folder(_absolute(name))


def _absolute(name: str) -> str:
    """A local path that means the same in every process; what looks like a URL is left alone."""
    return name if "://" in name else str(Path(name).absolute())
