"""How good every decoder layer is on rows that are not trained on, by task and level of difficulty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mue_model.full_depth import decode_batch, encode_batch
from mue_model.model import MueModel
from mue_model.processor import Processor
from mue_model.training.batches import IGNORED, Batch, Task, make_batch
from mue_model.training.examples import Example

BATCH_ROWS = 50


@dataclass(frozen=True)
class Scores:
    """Means over rows of one task, one entry per decoder layer. Teacher-forced, the encoder at full depth."""

    rows: int
    cross_entropy: list[float]
    """Per scored token, labels not smoothed."""
    token_accuracy: list[float]
    """Share of scored tokens that are the likeliest, the end included."""
    row_accuracy: list[float]
    """Share of rows of which every scored token is the likeliest; for entailment, of right answers."""


@dataclass(frozen=True)
class Validation:
    """Scores of a model after `step` steps."""

    step: int
    tasks: dict[str, Scores]
    by_level: dict[str, dict[str, Scores]]
    """By task, then by level."""

    def document(self) -> dict[str, Any]:
        """Return the line of metrics.jsonl."""
        tasks = {
            task: {**vars(scores), "by_level": {level: vars(its) for level, its in self.by_level[task].items()}}
            for task, scores in self.tasks.items()
        }
        return {"event": "validation", "step": self.step, "tasks": tasks}


class Validator:
    """Scores models on the same texts about the same rows every time."""

    def __init__(self, examples: Sequence[Example], processor: Processor) -> None:
        self._batches = list(_fixed_batches(examples, processor))

    def validate(self, model: MueModel, step: int, *, half: bool = False) -> Validation:
        """Score `model` in evaluation mode and leave it as it was; `half`: under bfloat16 autocast."""
        modes = {module: module.training for module in model.modules()}
        model.eval()
        found: dict[str, list[np.ndarray]] = {}
        levels: dict[str, list[int]] = {}
        with torch.inference_mode(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=half):
            for batch, its_levels in self._batches:
                found.setdefault(batch.task, []).append(_row_sums(model, batch))
                levels.setdefault(batch.task, []).extend(its_levels)
        _restore(modes)
        sums = {task: np.concatenate(parts) for task, parts in found.items()}
        return Validation(
            step,
            {task: _scores(rows) for task, rows in sums.items()},
            {task: _by_level(rows, np.array(levels[task])) for task, rows in sums.items()},
        )


def _fixed_batches(examples: Sequence[Example], processor: Processor) -> Iterable[tuple[Batch, list[int]]]:
    """Yield every example once per task, its texts taken in turn."""
    numbered = list(enumerate(examples))
    for task in get_args(Task):
        askable = [(number, example) for number, example in numbered if task == "caption" or example.hypotheses]
        for start in range(0, len(askable), BATCH_ROWS):
            numbers, chosen = zip(*askable[start : start + BATCH_ROWS], strict=True)
            yield make_batch(task, chosen, numbers, processor), [example.level for example in chosen]


def _row_sums(model: MueModel, batch: Batch) -> np.ndarray:
    """Return [N, L, 4]: scored tokens, their summed cross-entropy, right ones, and whether all are right."""
    encoded = encode_batch(model, model.normalise(batch.pixels), batch.prompts.to(model.device))
    targets = batch.targets.to(model.device)
    scored = targets != IGNORED
    count = scored.sum(1).double()
    layers = []
    for state in decode_batch(model, encoded, batch.inputs.to(model.device)):
        logits = model.logits(state).float()
        losses = functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
        right = ((logits.argmax(-1) == targets) & scored).sum(1).double()
        layers.append(torch.stack([count, losses.double().sum(1), right, (right == count).double()], dim=-1))
    return torch.stack(layers, dim=1).cpu().numpy()


def _by_level(rows: np.ndarray, levels: np.ndarray) -> dict[str, Scores]:
    return {str(level): _scores(rows[levels == level]) for level in sorted(set(levels.tolist()))}


def _scores(rows: np.ndarray) -> Scores:
    tokens, losses, right, all_right = rows.sum(0).T
    return Scores(
        rows=len(rows),
        cross_entropy=(losses / tokens).tolist(),
        token_accuracy=(right / tokens).tolist(),
        row_accuracy=(all_right / len(rows)).tolist(),
    )


def _restore(modes: dict[nn.Module, bool]) -> None:
    for module, training in modes.items():
        module.training = training
