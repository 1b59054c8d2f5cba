"""What a training run starts from: new weights of a named size, or those of a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mue_model.checkpoint import build_model, load_weights
from mue_model.config import Streams
from mue_model.model import MueModel
from mue_model.model_folder import ModelFacts
from mue_model.processor import Processor
from mue_model.tokenizer import build_word_tokenizer
from mue_model.training.initialise import fresh_model
from mue_model.training.settings import TrainingError
from mue_model.training.sizes import IMAGE_SIZES, Size, model_config


@dataclass(frozen=True, kw_only=True)
class Start:
    """A model to train, what goes in front of it, and where its first weights are from."""

    model: MueModel
    """float32, on the CPU, every parameter trained."""
    processor: Processor
    origin: dict[str, Any]
    """For the record; JSON."""
    notes: tuple[str, ...] = ()
    """What a user of the trained model should know about its origin."""


def start_fresh(size: Size, words: Sequence[str], *, streams: Streams, seed: int) -> Start:
    """Return new weights of a named size with `words` as vocabulary, a function of the arguments alone."""
    tokenizer = build_word_tokenizer(words)
    config = model_config(size, vocab_size=tokenizer.vocab_size, streams=streams)
    return Start(
        model=fresh_model(config, seed=seed),
        processor=Processor(tokenizer=tokenizer, image_size=IMAGE_SIZES[size]),
        origin={"weights": f"new, size {size}", "vocabulary": tokenizer.digest},
    )


def start_from(facts: ModelFacts, *, streams: Streams | None) -> Start:
    """Return the weights of a model folder, which are copied; `streams` other than its own are put on record."""
    if facts.folder is None:
        raise TrainingError(f"--init {facts.name}: this model was never trained; name a model folder, or 'demo'")
    theirs = facts.config.streams
    config = facts.config if streams is None else facts.config.model_copy(update={"streams": streams})
    tensors = load_weights(facts.folder, config)
    model = build_model(config, {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()})
    change = f"streams changed from {theirs} to {config.streams}: the weights were not trained that way before this run"
    return Start(
        model=model.requires_grad_(True),
        processor=facts.processor,
        origin={"weights": facts.digest, "vocabulary": facts.processor.tokenizer.digest, "streams": theirs},
        notes=() if config.streams == theirs else (change,),
    )
