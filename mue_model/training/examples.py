"""A corpus in memory, every row of it checked: an image, its captions, hypotheses about it with labels.

Reads shards of `mue corpus`, or any in its form: the JSON member holds `captions`, which may also be called
`references`, and may hold `ve` and `level`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mue_model.config import GenerationConfig
from mue_model.entailment import entailment_candidates, entailment_prompt_ids, hypotheses_of
from mue_model.processor import Processor
from mue_model.tokenizer import Tokenizer
from mue_model.training.settings import TrainingError
from mue_model.training.shards import Members, rows_of, shards_of

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp")


@dataclass(frozen=True)
class Example:
    """One image with what may be asked of it."""

    pixels: np.ndarray
    """uint8 [S, S, 3]"""
    captions: tuple[str, ...]
    hypotheses: tuple[tuple[str, str], ...]
    """(hypothesis, label)"""
    level: int
    """Difficulty as the corpus grades it; 0 where it does not."""


def caption_ids(tokenizer: Tokenizer, caption: str) -> tuple[int, ...]:
    """Return a caption as the decoder writes it, with bos and eos."""
    return tokenizer.encode(" " + caption.strip())


def entailment_ids(tokenizer: Tokenizer, hypothesis: str, label: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the prompt with bos and eos, and the answer with eos alone."""
    [answer] = [candidate.ids for candidate in entailment_candidates(tokenizer) if candidate.label == label]
    return entailment_prompt_ids(tokenizer, hypothesis), answer


def fitting_generation(examples: Iterable[Example], tokenizer: Tokenizer) -> GenerationConfig:
    """Return settings under which every caption could be written: room for the longest, repetition where one repeats.

    OFA forbids that three tokens occur twice, but "a big red fox left of a big red cup" says them twice rightly.
    """
    own = GenerationConfig()
    longest, repeats = 1, False
    for caption in {caption for example in examples for caption in example.captions}:
        ids = caption_ids(tokenizer, caption)[1:]
        longest = max(longest, len(ids))
        grams = [ids[place : place + own.no_repeat_ngram] for place in range(len(ids) - own.no_repeat_ngram + 1)]
        repeats |= len(set(grams)) < len(grams)
    return GenerationConfig(max_tokens=longest, no_repeat_ngram=0 if repeats else own.no_repeat_ngram)


def load_examples(
    folder: Path, processor: Processor, *, longest: int | None = None, limit: int | None = None
) -> list[Example]:
    """Return the first `limit` rows of all shards of `folder`, in order.

    Args:
        folder: Holds the shards.
        processor: Of the model to be trained.
        longest: Most tokens that the model has positions for.
        limit: None for all rows.

    Raises:
        TrainingError: There are no shards or no rows, or a row cannot be used; the message names it.
    """
    examples: list[Example] = []
    for shard in shards_of(folder):
        for key, members in rows_of(shard):
            if limit is not None and len(examples) >= limit:
                return examples
            try:
                example = _example(members, processor)
                _check_lengths(example, processor.tokenizer, longest)
            except ValueError as error:
                raise TrainingError(f"{shard}: row '{key}': {error}") from error
            examples.append(example)
    if not examples:
        raise TrainingError(f"{folder}: its shards hold no rows")
    return examples


def _example(members: Members, processor: Processor) -> Example:
    images = [members[extension] for extension in IMAGE_EXTENSIONS if extension in members]
    if len(images) != 1:
        raise ValueError(f"has {len(images)} images; expected one of {', '.join(IMAGE_EXTENSIONS)}")
    if "json" not in members:
        raise ValueError("has no JSON member with its captions")
    facts = json.loads(members["json"])
    if not isinstance(facts, dict):
        raise ValueError("its JSON is no object")
    level = facts.get("level", 0)
    if isinstance(level, bool) or not isinstance(level, int):
        raise ValueError(f"level is {level!r}; expected a whole number")
    return Example(
        pixels=processor.pixels(images[0]),
        captions=tuple(_captions(facts.get("captions", facts.get("references")))),
        hypotheses=tuple(hypotheses_of(facts.get("ve", []))),
        level=level,
    )


def _captions(found: Any) -> Iterable[str]:
    if not isinstance(found, list) or not found:
        raise ValueError("its JSON has no 'captions' (or 'references'), a list of texts")
    for caption in found:
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f"caption {caption!r} is no text")
        yield caption


def _check_lengths(example: Example, tokenizer: Tokenizer, longest: int | None) -> None:
    """Raise `ValueError` naming the first text that is longer than the model's positions."""
    if longest is None:
        return
    for caption in example.captions:
        if len(caption.encode()) + 2 > longest:  # no text has more tokens than bytes; bos, not eos, takes a position
            _check_length("caption", caption, len(caption_ids(tokenizer, caption)) - 1, longest)
    for hypothesis, label in example.hypotheses:
        prompt, answer = entailment_ids(tokenizer, hypothesis, label)
        _check_length("hypothesis", hypothesis, len(prompt) + len(answer) - 2, longest)


def _check_length(kind: str, text: str, tokens: int, longest: int) -> None:
    if tokens > longest:
        raise ValueError(f"{kind} '{text}' needs {tokens} positions, the model has {longest}")
