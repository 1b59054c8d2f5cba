"""The training loop: the same steps whatever interrupts it.

What happens at a step is a function of the seed and the step alone, so a run that was killed and resumed takes the
same batches and draws as one that was not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from mue_model.config import Config
from mue_model.model import MueModel
from mue_model.processor import Processor
from mue_model.training.examples import Batch, Example, caption_batch, entailment_batch
from mue_model.training.loss import batch_loss
from mue_model.training.recipe import Recipe
from mue_model.training.schedule import learning_rate

CHECKPOINT_FILE = "training.pt"
METRICS_FILE = "metrics.jsonl"


class TrainingConfig(Config):
    """How long and how often; with the recipe and the data it fixes the outcome."""

    steps: int = Field(gt=0)
    seed: int = 0
    checkpoint_every: int = Field(default=200, gt=0)
    """Steps between checkpoints; a kill costs at most these."""
    report_every: int = Field(default=20, gt=0)
    """Steps between lines of metrics.jsonl; each holds means over them."""


class TrainingMismatch(ValueError):
    """The output folder holds a training run with other settings."""


@dataclass(frozen=True)
class Report:
    """Means over the steps since the last report."""

    step: int
    """Steps done."""
    loss: float
    cross_entropy: dict[str, list[float]]
    """By task, one entry per decoder layer."""
    learning_rate: float
    step_s: float
    """Seconds per step."""


class Trainer:
    """Trains `model` on `examples`, with checkpoints and metrics in `folder`."""

    def __init__(
        self,
        model: MueModel,
        processor: Processor,
        examples: Sequence[Example],
        recipe: Recipe,
        config: TrainingConfig,
        folder: Path,
    ) -> None:
        self.model, self.processor, self.examples = model, processor, examples
        self.recipe, self.config, self.folder = recipe, config, folder
        self.step = 0
        """Steps done."""
        decayed = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
        others = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
        self._settings = {"recipe": recipe.model_dump(), "config": config.model_dump(), "examples": len(examples)}
        folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one; raise `TrainingMismatch` if it is another run's."""
        path = self.folder / CHECKPOINT_FILE
        if not path.is_file():
            return False
        saved = torch.load(path, map_location=self.model.device, weights_only=True)
        if saved["settings"] != self._settings:
            raise TrainingMismatch(f"{path} belongs to a run with other settings; use another folder or delete it")
        self.model.load_state_dict(saved["model"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.step = saved["step"]
        self._drop_later_metrics()
        return True

    def run(
        self, *, report: Callable[[Report], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Train until the last step, or until `stop` says so after a step; leaves a checkpoint either way."""
        window = _Window()
        while self.step < self.config.steps and not stop():
            window.add(*self._take_step())
            if self.step % self.config.report_every == 0 or self.step == self.config.steps:
                facts = window.report(self.step, self._optimiser.param_groups[0]["lr"])
                self._append_metrics(facts)
                report(facts)
                window = _Window()
            if self.step % self.config.checkpoint_every == 0:
                self.save()
        self.save()

    def _take_step(self) -> tuple[str, float, list[float]]:
        rng = np.random.default_rng([self.config.seed, self.step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        rate = learning_rate(
            self.step,
            steps=self.config.steps,
            peak=self.recipe.learning_rate,
            warmup_steps=self.recipe.warmup_steps,
        )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        batch = self.batch(rng)
        facts = batch_loss(self.model, batch, self.recipe, generator)
        self._optimiser.zero_grad(set_to_none=True)
        facts.loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self._optimiser.step()
        self.step += 1
        return "caption" if batch.is_caption else "entailment", float(facts.loss.detach()), facts.cross_entropy

    def batch(self, rng: np.random.Generator) -> Batch:
        """Draw one batch; examples without hypotheses never give entailment."""
        ask = entailment_batch if rng.random() < self.recipe.entailment_share else caption_batch
        chosen = [self.examples[int(i)] for i in rng.integers(len(self.examples), size=self.recipe.batch_rows)]
        if ask is entailment_batch and not all(example.hypotheses for example in chosen):
            ask = caption_batch
        choices = [int(i) for i in rng.integers(2**31, size=len(chosen))]
        return ask(chosen, choices, self.processor)

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        saved: dict[str, Any] = {
            "settings": self._settings,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        temporary = self.folder / f".{CHECKPOINT_FILE}.tmp"
        torch.save(saved, temporary)
        os.replace(temporary, self.folder / CHECKPOINT_FILE)

    def _append_metrics(self, report: Report) -> None:
        with (self.folder / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(report)) + "\n")

    def _drop_later_metrics(self) -> None:
        """Steps after the checkpoint are taken again, and reported again."""
        path = self.folder / METRICS_FILE
        if path.is_file():
            lines = path.read_text("utf-8").splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= self.step]
            path.write_text("".join(f"{line}\n" for line in kept), "utf-8")


class _Window:
    """Sums since the last report."""

    def __init__(self) -> None:
        self._began, self._losses = time.monotonic(), []  # type: ignore[var-annotated]
        self._cross_entropy: dict[str, list[list[float]]] = {}

    def add(self, task: str, loss: float, cross_entropy: list[float]) -> None:
        self._losses.append(loss)
        self._cross_entropy.setdefault(task, []).append(cross_entropy)

    def report(self, step: int, rate: float) -> Report:
        means = {task: np.mean(rows, axis=0).round(5).tolist() for task, rows in self._cross_entropy.items()}
        seconds = (time.monotonic() - self._began) / len(self._losses)
        return Report(step, float(np.mean(self._losses)), means, rate, seconds)
