"""What a user chooses about a drawn corpus, and the version of everything else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mue_model.config import Config, ConfigError

CORPUS_VERSION = 2
"""Bumped whenever the same settings would give another picture or another word."""

LEVELS = (1, 2, 3, 4, 5)
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class CorpusError(ConfigError):
    """A corpus cannot be drawn as asked. The message says what to do."""


class CorpusSettings(Config):
    """All that a corpus is a function of, besides `CORPUS_VERSION` and the releases of the drawing libraries."""

    rows: int = Field(default=20_000, ge=0)
    """Rows for training."""
    val: int = Field(default=1_000, ge=0)
    """Rows for validation."""
    test: int = Field(default=1_000, ge=0)
    """Rows for tests."""
    seed: int = Field(default=0, ge=0)
    """Another seed gives other scenes; which nouns and pairs training never sees stays the same."""
    size: int = Field(default=128, ge=96, le=480)
    """Side of the pictures in pixels."""
    levels: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(default=LEVELS, min_length=1)
    """Levels of difficulty, taken in turn."""
    rows_per_shard: int = Field(default=1_000, ge=1, le=10_000)
    """Rows of a shard; the last one of a split may have fewer."""

    def rows_of(self, split: Split) -> int:
        """Return the number of rows of a split."""
        return {"train": self.rows, "val": self.val, "test": self.test}[split]

    def level_of(self, number: int) -> int:
        """Return the level of a row by its number in the split."""
        return self.levels[number % len(self.levels)]
