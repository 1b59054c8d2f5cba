"""From a model's name to its facts. No torch import."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from mue_model.model_folder import ModelFacts, read_model_folder
from mue_model.seeded import SEEDED_NAME, seeded_facts

DEMO_NAME = "demo"
"""The trained model that ships: it captions drawn scenes."""
_SHIPPED = {DEMO_NAME: Path(__file__).parent / "shipped" / DEMO_NAME}


def model_facts(name: str) -> ModelFacts:
    """Return the facts of the model called `name`: `demo`, `seeded`, or a model folder's path."""
    if name == SEEDED_NAME:
        return seeded_facts()
    if name in _SHIPPED:
        return replace(read_model_folder(_SHIPPED[name]), name=name)
    return read_model_folder(lasting_name(name))


def lasting_name(name: str) -> str:
    """Return a name that means the same model in every process and directory; what looks like a URL is left alone."""
    return name if name == SEEDED_NAME or name in _SHIPPED or "://" in name else str(Path(name).absolute())


@cache
def demo_digest() -> str:
    """Return the digest of the model that ships."""
    return model_facts(DEMO_NAME).digest
