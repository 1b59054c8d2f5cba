"""A corpus in memory, and batches out of it: what the encoder sees, and what the decoder must say.

Reads shards of `mue corpus`: an image, `captions`, and `ve` (hypotheses with labels) in the JSON member.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from torch import Tensor

from mue_model.processor import CAPTION_PROMPT, Processor
from mue_model.prompts import ENTAILMENT_ANSWERS, entailment_prompt
from mue_model.tokenizer import PAD

IGNORED = -100
"""Target of positions that are not scored."""


@dataclass(frozen=True)
class Example:
    """One image with what may be asked of it."""

    pixels: np.ndarray
    """uint8 [S, S, 3]"""
    captions: tuple[str, ...]
    hypotheses: tuple[tuple[str, str], ...]
    """(hypothesis, label)"""
    level: int


@dataclass(frozen=True)
class Batch:
    """Rows of one task."""

    pixels: Tensor
    """uint8 [N, S, S, 3]"""
    prompts: Tensor
    """[N, T], right-padded."""
    inputs: Tensor
    """Decoder input [N, U], right-padded."""
    targets: Tensor
    """[N, U]; `IGNORED` where nothing is scored."""
    is_caption: bool


def load_examples(folder: Path, processor: Processor, *, limit: int | None = None) -> list[Example]:
    """Read every shard of `folder` in order; raise `FileNotFoundError` if there is none."""
    shards = sorted(str(path) for path in folder.glob("*.tar"))
    if not shards:
        raise FileNotFoundError(f"{folder} holds no shards (*.tar); `mue corpus` makes some")
    examples: list[Example] = []
    for row in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False):
        if limit is not None and len(examples) >= limit:
            break
        meta: dict[str, Any] = json.loads(row["json"])
        examples.append(
            Example(
                pixels=processor.pixels(row["jpg"]),
                captions=tuple(meta["captions"]),
                hypotheses=tuple((pair["hypothesis"], pair["label"]) for pair in meta.get("ve", [])),
                level=int(meta.get("level", 0)),
            )
        )
    return examples


def caption_batch(examples: Sequence[Example], choices: Sequence[int], processor: Processor) -> Batch:
    """Return the captions numbered `choices` (modulo their count) of `examples` as a batch."""
    encode = processor.tokenizer.encode
    prompts = [encode(CAPTION_PROMPT) for _ in examples]
    texts = [
        encode(" " + example.captions[choice % len(example.captions)].strip())
        for example, choice in zip(examples, choices, strict=True)
    ]
    inputs = [ids[:-1] for ids in texts]
    targets = [ids[1:] for ids in texts]
    return _batch(examples, prompts, inputs, targets, is_caption=True)


def entailment_batch(examples: Sequence[Example], choices: Sequence[int], processor: Processor) -> Batch:
    """Return one hypothesis of each example; only the answer and its end are scored, as at inference."""
    encode = processor.tokenizer.encode
    prompts, inputs, targets = [], [], []
    for example, choice in zip(examples, choices, strict=True):
        hypothesis, label = example.hypotheses[choice % len(example.hypotheses)]
        prompt = encode(entailment_prompt(hypothesis))
        answer = encode(ENTAILMENT_ANSWERS[label])[1:]  # without bos, with eos
        spoken = prompt[:-1] + answer
        prompts.append(prompt)
        inputs.append(spoken[:-1])
        targets.append((IGNORED,) * (len(prompt) - 2) + answer)
    return _batch(examples, prompts, inputs, targets, is_caption=False)


def _batch(
    examples: Sequence[Example],
    prompts: Sequence[Sequence[int]],
    inputs: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    is_caption: bool,
) -> Batch:
    return Batch(
        pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
        prompts=_padded(prompts, PAD),
        inputs=_padded(inputs, PAD),
        targets=_padded(targets, IGNORED),
        is_caption=is_caption,
    )


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
