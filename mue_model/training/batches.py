"""Batches of one task: what the encoder sees, what the decoder is fed, and what it must say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mue_model.processor import CAPTION_PROMPT, Processor
from mue_model.tokenizer import PAD
from mue_model.training.examples import Example, caption_ids, entailment_ids
from mue_model.training.recipe import Recipe
from mue_model.training.settings import TrainingError

IGNORED = -100
"""Target of positions that are not scored."""

Task = Literal["caption", "entailment"]


@dataclass(frozen=True)
class Batch:
    """Rows of one task."""

    task: Task
    pixels: Tensor
    """uint8 [N, S, S, 3]"""
    prompts: Tensor
    """[N, T], right-padded."""
    inputs: Tensor
    """Decoder input [N, U], right-padded."""
    targets: Tensor
    """[N, U]; `IGNORED` where nothing is scored."""
    levels: Tensor
    """[N]: difficulty of each row as the corpus grades it."""
    statements: Tensor | None = None
    """Of entailment, targets [N, U] that say each entailed hypothesis; all `IGNORED` in the other rows."""


class BatchSource:
    """Draws batches by the shares of a recipe; what is drawn depends on the generator alone.

    Raises:
        TrainingError: no row, or in pairs not every row, has the hypotheses that the recipe asks for.
    """

    def __init__(self, examples: Sequence[Example], processor: Processor, recipe: Recipe) -> None:
        self.processor, self.recipe = processor, recipe
        by_level = sorted(examples, key=lambda example: example.level)  # stable: the order inside a level stays
        self.pools: dict[Task, Sequence[Example]] = {
            "caption": by_level,
            "entailment": [example for example in by_level if example.hypotheses],
        }
        self._ends = {task: _level_ends(pool) for task, pool in self.pools.items()}
        silent = len(examples) - len(self.pools["entailment"])
        if recipe.entailment_share and silent == len(examples):
            raise TrainingError("no row has hypotheses ('ve'); train captions only: --set recipe.entailment_share=0")
        if recipe.paired and silent:
            raise TrainingError(
                f"{silent:,} rows have no hypotheses ('ve') to go with their captions; --set recipe.paired=false"
            )

    def draw(self, rng: np.random.Generator, along: float = 1.0) -> tuple[Batch, ...]:
        """Return batches about the same images, drawn with replacement.

        In pairs there is one of captions and one of hypotheses, which may be several for each image, else there is one
        batch with one text for each image. `along` says how much of the
        training is done, 0..1: a curriculum holds back the harder levels at first.
        """
        if self.recipe.paired:
            tasks: tuple[Task, ...] = ("caption", "entailment")
        else:
            tasks = ("entailment",) if rng.random() < self.recipe.entailment_share else ("caption",)
        pool = self.pools[tasks[0]]
        size = self.recipe.batch_rows if tasks[0] == "caption" else self.recipe.entailment_batch_rows
        chosen = [pool[int(i)] for i in rng.integers(self._joined(tasks[0], along), size=size)]
        choices = rng.integers(2**31, size=size)
        if tasks[0] == "entailment":
            return (entailment_batch(chosen, choices.tolist(), self.processor),)
        captions = np.where(rng.random(size) < self.recipe.paraphrase_share, choices, 0)
        batch = caption_batch(chosen, captions.tolist(), self.processor)
        return (batch, self._hypotheses(chosen, rng)) if self.recipe.paired else (batch,)

    def _hypotheses(self, chosen: Sequence[Example], rng: np.random.Generator) -> Batch:
        """Return the recipe's number of hypotheses about each of `chosen`, those of one example side by side."""
        count, share = self.recipe.hypotheses, self.recipe.neutral_share
        numbers = [number for example in chosen for number in _drawn_hypotheses(example.hypotheses, count, share, rng)]
        return entailment_batch([example for example in chosen for _ in range(count)], numbers, self.processor)

    def _joined(self, task: Task, along: float) -> int:
        """Return how many rows of the pool of `task`, which is sorted by level, are of levels that have joined."""
        ends = self._ends[task]
        if along >= self.recipe.curriculum:
            return ends[-1]
        return ends[int(along / self.recipe.curriculum * len(ends))]


def _drawn_hypotheses(
    hypotheses: Sequence[tuple[str, str]], count: int, neutral_share: float | None, rng: np.random.Generator
) -> list[int]:
    """Return `count` numbers of `hypotheses`, none again before all are drawn, of which a share is neutral."""
    order = rng.permutation(len(hypotheses)).tolist()
    if neutral_share is not None:
        neutral = [number for number in order if hypotheses[number][1] == "neutral"]
        decided = [number for number in order if hypotheses[number][1] != "neutral"]
        first = neutral[: int(rng.binomial(count, neutral_share))]
        order = first + decided + neutral[len(first) :]
    return [order[place % len(order)] for place in range(count)]


def _level_ends(pool: Sequence[Example]) -> list[int]:
    """Return for each level of a pool sorted by level where its rows end."""
    levels = [example.level for example in pool]
    return [bisect_right(levels, level) for level in sorted(set(levels))]


def make_batch(task: Task, examples: Sequence[Example], choices: Sequence[int], processor: Processor) -> Batch:
    """Return the texts numbered `choices` (modulo their count) of `examples` as a batch."""
    make = caption_batch if task == "caption" else entailment_batch
    return make(examples, choices, processor)


def caption_batch(examples: Sequence[Example], choices: Sequence[int], processor: Processor) -> Batch:
    """Return one caption of each example, every token and the end scored."""
    prompts = [processor.tokenizer.encode(CAPTION_PROMPT)] * len(examples)
    texts = [
        caption_ids(processor.tokenizer, example.captions[choice % len(example.captions)])
        for example, choice in zip(examples, choices, strict=True)
    ]
    return _batch("caption", examples, prompts, [ids[:-1] for ids in texts], [ids[1:] for ids in texts])


def entailment_batch(examples: Sequence[Example], choices: Sequence[int], processor: Processor) -> Batch:
    """Return one hypothesis of each example; only the answer and its end are scored, as at inference."""
    prompts, inputs, targets, statements = [], [], [], []
    for example, choice in zip(examples, choices, strict=True):
        hypothesis, label = example.hypotheses[choice % len(example.hypotheses)]
        prompt, answer = entailment_ids(processor.tokenizer, hypothesis, label)
        spoken = prompt[:-1] + answer
        prompts.append(prompt)
        inputs.append(spoken[:-1])
        targets.append((IGNORED,) * (len(prompt) - 2) + answer)
        statements.append(prompt[1:-1] if label == "entailment" else (IGNORED,))
    batch = _batch("entailment", examples, prompts, inputs, targets)
    return replace(batch, statements=_padded(statements, IGNORED, batch.targets.shape[1]))


def _batch(
    task: Task,
    examples: Sequence[Example],
    prompts: Sequence[Sequence[int]],
    inputs: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
) -> Batch:
    return Batch(
        task=task,
        pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
        prompts=_padded(prompts, PAD),
        inputs=_padded(inputs, PAD),
        targets=_padded(targets, IGNORED),
        levels=torch.tensor([example.level for example in examples]),
    )


def _padded(rows: Sequence[Sequence[int]], value: int, longest: int = 0) -> Tensor:
    longest = max(longest, *(len(row) for row in rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
