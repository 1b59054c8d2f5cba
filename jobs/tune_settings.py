"""What `mue tune` may be told. No torch import: the command line reads it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from mue_model.config import Config, DecoderSignal
from mue_model.tuning.by import By

TuneTask = Literal["caption", "entailment"]


class TuneSettings(Config):
    """One calibration. The same settings find the same, times apart and presets chosen by time. Unless they
    choose by time, `group_size` decides nothing that is found."""

    shards: tuple[str, ...] = Field(min_length=1)
    """Labelled shards that the model was not trained on: tars, folders or patterns."""
    tasks: tuple[TuneTask, ...] = Field(default=("caption", "entailment"), min_length=1)
    """Tasks that every preset must serve."""
    images: int = Field(default=1000, gt=0)
    """Most images, the first ones. One half, drawn by the seed, is screened; all are run."""
    rows: int = Field(default=2000, gt=0)
    """Most rows of a task, of the first images: an image may have many hypotheses."""
    screen_rows: int = Field(default=600, gt=0)
    """Most rows of a task that are screened."""
    points: int = Field(default=12, gt=0)
    """Most points of the front that are run, beside constant depths: half as many of those that differ by stage."""
    points_of: tuple[str, ...] = ()
    """tune.json of earlier calibrations of this model and these tasks: the best of their points run in place of a
    screen's, on images that had no say in them. One half orders them for the certificate, the other tests."""
    min_quality: float = Field(default=0.99, gt=0, le=1)
    """Of `balanced`: share of full depth's quality that is kept in every task, at the least cost, see `by`."""
    max_flops: float | None = Field(default=None, gt=0, le=1)
    """Of `balanced`, instead of min_quality: share of full depth's FLOPs, at the best quality."""
    fast_quality: float = Field(default=0.97, gt=0, le=1)
    """Of `fast`: as min_quality."""
    confidence: float | None = Field(default=None, ge=0.5, lt=1)
    """How sure it must be that a preset keeps its quality: the lower bound of what it keeps, one-sided, must reach it.
    If left out, what it keeps of these rows decides, which flatters: the cheapest of many points that seem good enough
    is likely one of those that seem better than they are."""
    certify: float | None = Field(default=None, gt=0, lt=1)
    """Share of rows that may lose a right answer; only points for which that is certified become presets."""
    delta: float = Field(default=0.05, gt=0, lt=1)
    """Chance that a certificate is wrong."""
    decoder_signal: DecoderSignal = "similarity"
    """What a caption's tokens stop by: `similarity` of a layer's state to the one before, or `confidence`, the head's
    highest probability, which tells better and costs a run of the head at each layer that is asked. Points of earlier
    calibrations have their own."""
    by: By = "work"
    """What presets are to have little of. `flops`: of each row as if it ran alone. `work`: FLOPs of a job, where an
    image is encoded once for all its queries and a prompt once for all its images. `time`: as measured here, which
    takes longer, and is the only one in which stopping to ask costs what it does; another machine may choose
    otherwise."""
    seed: int = Field(default=0, ge=0)
    """Decides which images are screened and which ones test the certificate."""
    group_size: int = Field(default=32, gt=0)
    """Rows of a group in the runs that are timed."""

    @model_validator(mode="after")
    def _fast_asks_for_no_more(self) -> TuneSettings:
        if self.max_flops is None and self.fast_quality > self.min_quality:
            raise ValueError(
                f"fast_quality {self.fast_quality:g} is more than min_quality {self.min_quality:g}, which 'balanced' "
                "keeps: give a fast_quality below it"
            )
        return self

    @property
    def constants(self) -> int:
        """Most depths by stage that are run beside `points`: so many that what exits are held against has no holes."""
        return math.ceil(self.points / 2)
