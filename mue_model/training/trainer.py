"""The training loop: the same steps whatever interrupts it.

What happens at a step is a function of the seed and the step alone, so a run that was killed and resumed takes the
same batches and draws as one that was not, and on a CPU with as many threads ends with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from mue_model.model import MueModel
from mue_model.processor import Processor
from mue_model.training.batches import BatchSource
from mue_model.training.checkpoints import read_checkpoint, write_checkpoint
from mue_model.training.examples import Example
from mue_model.training.loss import batch_loss
from mue_model.training.recipe import Recipe
from mue_model.training.reports import MetricsFile, Report, Window
from mue_model.training.schedule import learning_rate
from mue_model.training.settings import TrainingConfig, TrainingError
from mue_model.training.validation import Validation, Validator

METRICS_FILE = "metrics.jsonl"
BETAS = (0.9, 0.98)


class Watcher(Protocol):
    """Is told how a run goes; nothing it does changes the run."""

    def stepped(self, step: int, rows: int) -> None:
        """`step` steps are done; the last one had `rows` rows."""
        ...

    def reported(self, report: Report) -> None:
        """Means over some steps are known."""
        ...

    def validated(self, validation: Validation) -> None:
        """The model was scored."""
        ...


class Unwatched:
    """Looks away."""

    def stepped(self, step: int, rows: int) -> None:
        """Pass over it."""

    def reported(self, report: Report) -> None:
        """Pass over it."""

    def validated(self, validation: Validation) -> None:
        """Pass over it."""


class Trainer:
    """Trains `model` on `examples`, with checkpoint and metrics in `folder`."""

    def __init__(
        self,
        model: MueModel,
        processor: Processor,
        examples: Sequence[Example],
        recipe: Recipe,
        config: TrainingConfig,
        folder: Path,
        *,
        validator: Validator | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare step 0; `origin` says what data and first weights are, for a resumed run must have the same."""
        self.model, self.recipe, self.config, self.folder = model, recipe, config, folder
        self.half = config.in_half(model.device.type)
        self.step = 0
        """Steps done."""
        self.metrics = MetricsFile(folder / METRICS_FILE)
        self._source = BatchSource(examples, processor, recipe)
        self._validator = validator
        self._optimiser = _optimiser(model, recipe)
        self._window = Window()
        self._settings = {
            "recipe": recipe.model_dump(mode="json"),
            "steps": config.steps,
            "seed": config.seed,
            "rows": len(examples),
            "model": model.config.model_dump(mode="json"),
            "precision": "bfloat16 autocast" if self.half else "float32",
            "origin": dict(origin or {}),
        }
        folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one; raise `TrainingMismatch` if it is another run's."""
        defaults = {"recipe": Recipe().model_dump(mode="json")}
        saved = read_checkpoint(self.folder, self._settings, self.model.device, defaults=defaults)
        if saved is not None:
            self.model.load_state_dict(saved["model"])
            self._optimiser.load_state_dict(saved["optimiser"])
            self.step = saved["step"]
            self._window = Window(**saved["window"])
        self.metrics.drop_after(self.step)
        return saved is not None

    def run(self, watcher: Watcher | None = None, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Train until the last step, or until `stop` says so after a step; leaves a checkpoint either way."""
        watcher = watcher or Unwatched()
        config = self.config
        while self.step < config.last_step and not stop():
            rows = self._take_step()
            watcher.stepped(self.step, rows)
            is_last = self.step == config.last_step
            if self.step % config.report_every == 0 or is_last:
                watcher.reported(self._report())
            if self._validator and (self.step % config.validate_every == 0 or is_last):
                watcher.validated(self._validate(self._validator))
            if self.step % config.checkpoint_every == 0:
                self.save()
        self.save()

    def _take_step(self) -> int:
        """Train on the batches of one step; return its number of images."""
        began = time.monotonic()
        rng = np.random.default_rng([self.config.seed, self.step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate()
        self._set_modes()
        batches = self._source.draw(rng, self.step / self.config.steps)
        rows = len(batches[0].pixels)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self.half):
            facts = batch_loss(self.model, batches, self.recipe, generator)
        loss = float(facts.loss.detach())
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {self.step}; {self.folder} keeps its last checkpoint. A lower "
                "recipe.learning_rate, or a longer recipe.warmup_steps, in another --output may help"
            )
        self._optimiser.zero_grad(set_to_none=True)
        facts.loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self._optimiser.step()
        self.step += 1
        self._window.add(loss, facts.cross_entropy, rows, time.monotonic() - began)
        return rows

    def _rate(self) -> float:
        recipe, steps = self.recipe, self.config.steps
        return learning_rate(self.step, steps=steps, peak=recipe.learning_rate, warmup_steps=recipe.warmup_steps)

    def _set_modes(self) -> None:
        self.model.train()
        if self.recipe.freeze_batch_norm:
            self.model.encoder.embed_images.eval()

    def _report(self) -> Report:
        report = self._window.report(self.step, self._optimiser.param_groups[0]["lr"])
        self._window = Window()
        self.metrics.append(report.document())
        return report

    def _validate(self, validator: Validator) -> Validation:
        validation = validator.validate(self.model, self.step, half=self.half)
        self.metrics.append(validation.document())
        return validation

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "step": self.step,
            "window": vars(self._window),
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        write_checkpoint(self.folder, self._settings, state)


def _optimiser(model: MueModel, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; only matrices and tables decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=BETAS)
