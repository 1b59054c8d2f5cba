"""A toy corpus that a toy model learns in seconds: the colour of a picture."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mue_model.config import ModelConfig
from mue_model.processor import Processor
from mue_model.tokenizer import Tokenizer, build_word_tokenizer
from mue_model.training.examples import Example
from mue_model.training.initialise import fresh_model
from mue_model.training.recipe import Recipe
from mue_model.training.settings import TrainingConfig
from mue_model.training.trainer import Trainer

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
WORDS = (
    "what",
    "does",
    "the",
    "image",
    "describe",
    "yes",
    "no",
    "maybe",
    "a",
    "picture",
    "it",
    "is",
    "all",
    "over",
    "and",
)
SIZE = 32


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return build_word_tokenizer([*WORDS, *COLOURS])


@pytest.fixture(scope="session")
def processor(tokenizer: Tokenizer) -> Processor:
    return Processor(tokenizer=tokenizer, image_size=SIZE)


@pytest.fixture(scope="session")
def toy_config(tokenizer: Tokenizer) -> Callable[..., ModelConfig]:
    """`toy_config(streams="joint")`: three layers each, a hundred thousand weights."""

    def make(**changes: Any) -> ModelConfig:
        sizes = {
            "vocab_size": tokenizer.vocab_size,
            "d_model": 24,
            "encoder_layers": 3,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_layers": 3,
            "decoder_attention_heads": 2,
            "decoder_ffn_dim": 32,
            "resnet_type": "light",
            "streams": "decomposed",
            "max_position_embeddings": 40,
            "token_bucket_size": 8,
            "image_bucket_size": 4,
        }
        return ModelConfig.model_validate(sizes | changes)

    return make


def example(number: int) -> Example:
    """Number 4, 9, 14 ... have no hypotheses; level 1 says one word, level 2 two."""
    random = np.random.default_rng(number)
    colour, other = (list(COLOURS)[(number + turn) % 4] for turn in (0, 1))
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8) + np.array(COLOURS[colour], np.uint8)
    pixels[random.integers(SIZE)] = 0
    level = 1 + number % 2
    captions = (f"a {colour} picture",) if level == 1 else (f"{colour} all over", f"{colour} and {colour} all over")
    hypotheses = (
        (f"it is {colour}", "entailment"),
        (f"it is {other}", "contradiction"),
        (f"all is {colour} and over", "neutral"),
    )
    return Example(pixels, captions, () if number % 5 == 4 else hypotheses, level)


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return [example(number) for number in range(40)]


@pytest.fixture
def make_trainer(
    tmp_path: Path, toy_config: Callable[..., ModelConfig], processor: Processor, examples: list[Example]
) -> Callable[..., Trainer]:
    """`make_trainer("name", steps=12, recipe={...}, report_every=...)`: a trainer in the folder `name`."""

    def make(name: str = "run", *, recipe: dict[str, Any] | None = None, **changes: Any) -> Trainer:
        validator, origin = changes.pop("validator", None), changes.pop("origin", None)
        rows = changes.pop("examples", examples)
        small = {"batch_rows": 6, "entailment_batch_rows": 4, "warmup_steps": 3}
        return Trainer(
            fresh_model(toy_config(), seed=0),
            processor,
            rows,
            Recipe.model_validate({"layer_weights": "linear", "random_depth": True} | small | (recipe or {})),
            TrainingConfig.model_validate({"steps": 12} | changes),
            tmp_path / name,
            validator=validator,
            origin=origin,
        )

    return make


def bits(trainer: Trainer) -> torch.Tensor:
    """All weights and statistics of a trainer's model as one vector."""
    return torch.cat([tensor.double().flatten() for tensor in trainer.model.state_dict().values()])


@pytest.fixture
def bits_of() -> Callable[[Trainer], torch.Tensor]:
    return bits


def jpg(colour: tuple[int, int, int] = (255, 0, 0), size: int = SIZE) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def red_jpg() -> bytes:
    return jpg()


@pytest.fixture
def write_shard(tmp_path: Path) -> Callable[..., Path]:
    """`write_shard([{"jpg": b"...", "json": {...}}, ...], name="00000.tar")`: the folder of the shard."""

    def write(rows: Iterable[dict[str, Any]], *, name: str = "00000.tar") -> Path:
        folder = tmp_path / "shards"
        folder.mkdir(exist_ok=True)
        with tarfile.open(folder / name, "w") as tar:
            for number, members in enumerate(rows):
                for extension, content in members.items():
                    data = content if isinstance(content, bytes) else json.dumps(content).encode()
                    info = tarfile.TarInfo(f"row{number}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        return folder

    return write
