"""The small untrained model that ships until a trained one does. Its texts mean nothing; its exits are real.

Every tensor is a pure function of its name and shape, so the model needs no file and is the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np

from mue_model.config import ExitConfig, ModelConfig
from mue_model.model_folder import ModelFacts
from mue_model.processor import Processor
from mue_model.tokenizer import build_word_tokenizer
from mue_model.words import CAPTION_WORDS

SEEDED_NAME = "seeded"
SEEDED_VERSION = 1
"""Bumped whenever a weight, the vocabulary or the configuration changes."""
IMAGE_SIZE = 128


def seeded_facts() -> ModelFacts:
    """Return the seeded model without its weights."""
    tokenizer = build_word_tokenizer(CAPTION_WORDS)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=64,
        encoder_layers=6,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_layers=6,
        decoder_attention_heads=4,
        decoder_ffn_dim=128,
        resnet_type="light",
        streams="decomposed",
    )
    presets = {
        "default": ExitConfig(image=0.905, text=0.88, decoder=0.86),
        "exact": ExitConfig(),
    }
    recipe = json.dumps([SEEDED_VERSION, config.model_dump(mode="json"), tokenizer.digest], sort_keys=True)
    return ModelFacts(
        name=SEEDED_NAME,
        config=config,
        processor=Processor(tokenizer=tokenizer, image_size=IMAGE_SIZE),
        presets=presets,
        digest=hashlib.sha256(recipe.encode()).hexdigest(),
        untrained=True,
    )


def seeded_array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the float32 tensor of parameter `name`: noise scaled so that activations keep their size."""
    seed = int.from_bytes(hashlib.sha256(f"{SEEDED_VERSION}:{name}".encode()).digest()[:4], "little")
    noise = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    if name.endswith("running_mean"):
        return 0.1 * noise
    if name.endswith("running_var"):
        return 0.5 + np.abs(noise)
    if name.endswith("c_attn"):
        return 1 + 0.1 * noise
    if len(shape) == 1:
        return 1 + 0.1 * noise if name.endswith("weight") else 0.02 * noise
    fan_in = math.prod(shape[1:])
    return noise * np.float32(math.sqrt((2 if len(shape) == 4 else 1) / fan_in))
