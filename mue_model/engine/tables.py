"""Position biases, built once per grid, prompt length and step limit, and shared by all rows.

They depend on positions only, so they are constants of a geometry. `flops_spent` counts what building cost.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from mue_model import costs
from mue_model.candidates import TargetShape
from mue_model.config import ModelConfig
from mue_model.model import MueModel

KEPT_GEOMETRIES = 8
"""Tables of the most recently used geometries are kept; OFA-base at 480 px needs about 240 MB for one."""


@dataclass(frozen=True)
class Geometry:
    """Rows with the same geometry can share a batch without padding."""

    grid: tuple[int, int]
    prompt_tokens: int
    targets: TargetShape | None = None
    """Of the target sequence, where candidates are scored; None where text is generated."""

    @property
    def patches(self) -> int:
        """Image tokens."""
        return self.grid[0] * self.grid[1]

    @property
    def memory(self) -> int:
        """Tokens of the encoder's memory."""
        return self.patches + self.prompt_tokens


@dataclass(frozen=True)
class Tables:
    """The biases of one geometry."""

    joint: list[Tensor]
    """Per encoder layer [H, M, M] over [image; text]; empty for decomposed checkpoints."""
    image: list[Tensor]
    """Per encoder layer [H, P, P]; empty for joint checkpoints."""
    text: list[Tensor]
    """Per encoder layer [H, T, T]; empty for joint checkpoints."""
    self_attention: list[Tensor]
    """Per decoder layer [H, S, S], S the step limit."""
    cross_attention: Tensor
    """[H, S, M]."""


class TableStore:
    """Builds tables on demand and keeps the recent ones."""

    def __init__(self, model: MueModel, max_steps: int) -> None:
        self._model, self._max_steps = model, max_steps
        self._kept: OrderedDict[Geometry, Tables] = OrderedDict()
        self.flops_spent = 0
        """FLOPs of all tables built so far."""

    def get(self, geometry: Geometry) -> Tables:
        """Return the tables of `geometry`, building them if they are not kept."""
        if geometry not in self._kept:
            steps = geometry.targets.length if geometry.targets else self._max_steps
            self._kept[geometry] = build_tables(self._model, geometry, steps)
            self.flops_spent += table_flops(self._model.config, geometry, steps)
        self._kept.move_to_end(geometry)
        while len(self._kept) > KEPT_GEOMETRIES:
            self._kept.popitem(last=False)
        return self._kept[geometry]


def build_tables(model: MueModel, geometry: Geometry, max_steps: int) -> Tables:
    """Build the biases of one geometry for texts of at most `max_steps` tokens."""
    encoder, decoder, config = model.encoder, model.decoder, model.config
    image = encoder.image_positions(geometry.grid)
    text = encoder.text_positions(0, geometry.prompt_tokens)
    memory = torch.cat([image, text])

    def per_layer(positions: Tensor, grid: tuple[int, int] | None, text_tokens: int) -> list[Tensor]:
        absolute = encoder.absolute_bias(positions)
        return [encoder.add_relative_bias(absolute, i, grid, text_tokens) for i in range(config.encoder_layers)]

    joint = config.streams == "joint"
    steps = decoder.text_positions(0, max_steps)
    return Tables(
        joint=per_layer(memory, geometry.grid, geometry.prompt_tokens) if joint else [],
        image=[] if joint else per_layer(image, geometry.grid, 0),
        text=[] if joint else per_layer(text, None, geometry.prompt_tokens),
        self_attention=self_attention_biases(model, steps),
        cross_attention=decoder.cross_bias(steps, decoder.cross_pos_k_linear(memory)),
    )


def self_attention_biases(model: MueModel, steps: Tensor) -> list[Tensor]:
    """Return per decoder layer the bias [H, S, S] between all of S `steps` [S, C], as `text_positions` gives them."""
    decoder, absolute = model.decoder, model.decoder.self_absolute_bias(steps, steps)
    return [
        absolute + decoder.token_relative_bias(layer, 0, len(steps)) for layer in range(model.config.decoder_layers)
    ]


def table_flops(config: ModelConfig, geometry: Geometry, max_steps: int) -> int:
    """Return the FLOPs of `build_tables`: every step attends to all steps there, needed or not."""
    memory = geometry.memory
    blocks = [memory] if config.streams == "joint" else [geometry.patches, geometry.prompt_tokens]
    encoder = sum(costs.block_position_flops(config, block) for block in blocks)
    decoder = costs.all_position_flops(config, memory, max_steps)
    return encoder + costs.memory_position_flops(config, memory) + decoder
