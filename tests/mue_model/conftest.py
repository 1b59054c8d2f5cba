"""Small random models and rows, and what a policy would have seen at full depth."""

from __future__ import annotations

import copy
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mue_model import reference
from mue_model.checkpoint import build_model
from mue_model.config import GenerationConfig, ModelConfig
from mue_model.exits import CosineExit, Depths, ScriptedExit, Stage, row_similarity
from mue_model.model import MueModel, parameter_shapes
from mue_model.rows import RowInput
from mue_model.seeded import seeded_array

SMALL = {
    "vocab_size": 20,
    "d_model": 16,
    "encoder_layers": 3,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_layers": 4,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 20,
    "resnet_type": "light",
    "max_position_embeddings": 32,
    "token_bucket_size": 6,
    "image_bucket_size": 5,
}
LOUD_END = 3.0
"""Gain on the end token's embedding: texts of the small models end at different lengths."""


@pytest.fixture(scope="session")
def small_config() -> Callable[..., ModelConfig]:
    """`small_config(streams="decomposed", ...)`: a model of a few thousand weights."""
    return lambda **changes: ModelConfig.model_validate(SMALL | changes)


# Width, heads, inner width, layers of encoder and decoder, stem (arXiv 2202.03052 and the published checkpoints).
OFA = {
    "tiny": (256, 4, 1024, 4, 4, "resnet50"),
    "medium": (512, 8, 2048, 4, 4, "resnet101"),
    "base": (768, 12, 3072, 6, 6, "resnet101"),
    "large": (1024, 16, 4096, 12, 12, "resnet152"),
    "huge": (1280, 16, 5120, 24, 12, "resnet152"),
}


@pytest.fixture(scope="session")
def ofa_config() -> Callable[..., ModelConfig]:
    """`ofa_config("base", streams="decomposed")`: a published size."""

    def make(size: str, **changes: Any) -> ModelConfig:
        width, heads, inner, encoder_layers, decoder_layers, stem = OFA[size]
        sizes = {
            "vocab_size": 59457,
            "d_model": width,
            "encoder_layers": encoder_layers,
            "encoder_attention_heads": heads,
            "encoder_ffn_dim": inner,
            "decoder_layers": decoder_layers,
            "decoder_attention_heads": heads,
            "decoder_ffn_dim": inner,
            "resnet_type": stem,
        }
        return ModelConfig.model_validate(sizes | changes)

    return make


@pytest.fixture(scope="session")
def small_model(small_config: Callable[..., ModelConfig]) -> Callable[..., MueModel]:
    """`small_model(dtype="float64", streams=...)`: the same weights for the same names and shapes, always."""
    kept: dict[str, MueModel] = {}

    def make(*, dtype: str = "float64", **changes: Any) -> MueModel:
        config = small_config(**changes)
        key = dtype + config.model_dump_json()
        if key not in kept:
            shapes = parameter_shapes(config).items()
            tensors = {name: torch.from_numpy(seeded_array(name, shape)) for name, shape in shapes}
            tensors["encoder.embed_tokens.weight"][config.eos_token_id] *= LOUD_END
            kept[key] = build_model(config, tensors).to(getattr(torch, dtype))
        return kept[key]

    return make


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[RowInput]]:
    """`make_rows(3, prefix="a", grid=(2, 3))`: rows whose pixels are a function of their uid."""

    def make(
        count: int, *, prefix: str = "row", grid: tuple[int, int] = (2, 3), prompt_ids: tuple[int, ...] = (0, 5, 6, 2)
    ) -> list[RowInput]:
        return [row_of(f"{prefix}/{number}/0", grid, prompt_ids) for number in range(count)]

    return make


@pytest.fixture(scope="session")
def not_finite_on_white() -> Callable[[MueModel], MueModel]:
    """A copy of a model whose stem gives NaN for an image that is white all over, and only for it."""

    def spoil(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        white = (inputs[0] == 1).flatten(1).all(dim=1)
        return output.masked_fill(white[:, None, None], torch.nan)

    def make(model: MueModel) -> MueModel:
        spoilt = copy.deepcopy(model)
        spoilt.encoder.embed_images.register_forward_hook(spoil)
        return spoilt

    return make


def row_of(uid: str, grid: tuple[int, int], prompt_ids: tuple[int, ...]) -> RowInput:
    random = np.random.default_rng(zlib.crc32(uid.encode()))
    height, width = 16 * grid[0], 16 * grid[1]
    colours = random.uniform(0, 255, (2, 1, 1, 3))
    ramp = np.linspace(0, 1, height * width).reshape(height, width, 1) * random.uniform(0.5, 5) % 1
    noise = random.normal(0, random.uniform(1, 60), (height, width, 3))
    pixels = (colours[0] * ramp + colours[1] * (1 - ramp) + noise).clip(0, 255).astype(np.uint8)
    return RowInput(uid=uid, pixels=pixels, prompt_ids=prompt_ids)


@pytest.fixture(scope="session")
def random_script() -> Callable[..., ScriptedExit]:
    """`random_script(model, rows, steps=8)`: depths that are a function of the uid."""

    def make(model: MueModel, rows: Sequence[RowInput], steps: int = 8) -> ScriptedExit:
        depths = {}
        for row in rows:
            random = np.random.default_rng(zlib.crc32(b"depths" + row.uid.encode()))
            image, text = random.integers(1, model.config.encoder_layers + 1, 2).tolist()
            decoder = random.integers(1, model.config.decoder_layers + 1, steps).tolist()
            depths[row.uid] = Depths(image, text, tuple(decoder))
        return ScriptedExit(depths)

    return make


class Witness:
    """Lets every row run on and keeps the similarities it sees."""

    row_dependent = True

    def __init__(self) -> None:
        self.seen: dict[tuple[Stage, int], list[float]] = defaultdict(list)

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        return True

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        self.seen[stage, layer] += row_similarity(before, after).tolist()
        return torch.zeros(len(uids), dtype=torch.bool)


@pytest.fixture(scope="session")
def quantile_exits() -> Callable[..., CosineExit]:
    """`quantile_exits(model, rows, .6)`: thresholds, one per layer, that this share of similarities stays below.

    They lie between two observed similarities, or `exactly` on one.
    """

    def make(
        model: MueModel, rows: Sequence[RowInput], share: float, steps: int = 8, exactly: bool = False
    ) -> CosineExit:
        witness = Witness()
        for row in rows:
            reference.run_row(model, row, witness, GenerationConfig(max_tokens=steps))
        stages: list[Stage] = ["joint", "image", "text"]
        layers = dict.fromkeys(stages, model.config.encoder_layers)
        layers |= {"decoder": model.config.decoder_layers, "candidates": model.config.decoder_layers}

        def quantile(stage: Stage, layer: int) -> float:
            seen = np.unique(witness.seen.get((stage, layer), [1.0]))
            place = int(share * (len(seen) - 1))
            return float(seen[place] if exactly else np.mean([*seen, 1.0][place : place + 2]))

        return CosineExit({stage: [quantile(stage, layer) for layer in range(layers[stage])] for stage in layers})

    return make


@pytest.fixture(scope="session")
def counted() -> Callable[[Callable[[], Any]], tuple[Any, int]]:
    """`counted(run)`: what `run()` returns, and the FLOPs that torch counts meanwhile."""

    def count(run: Callable[[], Any]) -> tuple[Any, int]:
        with FlopCounterMode(display=False) as counter:
            result = run()
        return result, counter.get_total_flops()

    return count
