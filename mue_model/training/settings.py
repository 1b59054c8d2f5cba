"""What else fixes a training run besides its recipe and data, and how often it says something. No torch import."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mue_model.config import Config, ConfigError


class TrainingError(ConfigError):
    """A model cannot be trained as asked. The message says what to change."""


class TrainingConfig(Config):
    """How long, how exact and how often. The settings named `..._every` and `..._rows` never change the outcome."""

    steps: int = Field(default=5_000, gt=0)
    """Batches to train on; the learning rate ends its decay with the last."""
    stop_after: int | None = Field(default=None, gt=0)
    """End after so many of the steps and leave the model as it is then, for a run that goes on from it with another
    schedule. Without it, the same run goes on where it stopped."""
    seed: int = Field(default=0, ge=0)
    """Decides the first weights, the batches and the exit depths."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; weights are float32. auto: bfloat16 on CUDA, float32 elsewhere. A CPU with bfloat16
    instructions takes half the time with it, one without them much longer."""
    checkpoint_every: int = Field(default=200, gt=0)
    """Steps between checkpoints; a kill costs at most these."""
    report_every: int = Field(default=20, gt=0)
    """Steps between training lines of metrics.jsonl; each holds means over them."""
    validate_every: int = Field(default=500, gt=0)
    """Steps between validations; there is one after the last step too."""
    validation_rows: int = Field(default=250, ge=0)
    """Rows of the validation split that are used, its first ones; 0 switches validation off."""

    @property
    def last_step(self) -> int:
        """Steps after which the run ends."""
        return min(self.steps, self.stop_after or self.steps)

    def in_half(self, device_type: str) -> bool:
        """Say whether matrix products are computed in bfloat16 on this type of device."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device_type == "cuda")
