"""A trained model as a model folder: 16-bit weights, scored as they are stored, with a card that says how."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mue_model.appearing_folder import appearing_folder, check_target
from mue_model.checkpoint import build_model, check_finite, parameter_count, save_weights
from mue_model.config import ExitConfig, GenerationConfig
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_folder import (
    CARD_FILE,
    CONFIG_FILE,
    EXITS_FILE,
    GENERATION_FILE,
    WEIGHTS_FILE,
    config_document,
    file_digest,
    generation_document,
    presets_document,
)
from mue_model.processor import CONFIG_FILE as PROCESSOR_FILE
from mue_model.processor import Processor
from mue_model.tokenizer import MERGES_FILE, VOCAB_FILE

_FILES = frozenset(
    {CONFIG_FILE, WEIGHTS_FILE, EXITS_FILE, GENERATION_FILE, CARD_FILE, PROCESSOR_FILE, VOCAB_FILE, MERGES_FILE}
)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What is known when only the card is missing."""

    parameters: int
    weights_digest: str
    """SHA-256 of the weights' file."""
    weights_bytes: int


def stored_tensors(model: MueModel) -> dict[str, Tensor]:
    """Return the weights in 16 bits, by their published names, on the CPU."""
    names = parameter_shapes(model.config)
    state = model.state_dict()
    return {name: state[name].detach().to("cpu", torch.float16) for name in names}


def stored_model(model: MueModel) -> MueModel:
    """Return a copy that computes in 32 bits with the weights as `stored_tensors` rounds them."""
    return build_model(model.config, {name: tensor.float() for name, tensor in stored_tensors(model).items()})


def write_model_folder(
    model: MueModel,
    processor: Processor,
    generation: GenerationConfig,
    target: Path,
    card: Callable[[Exported], str],
) -> Exported:
    """Write, or replace, the model folder `target`, all of it or nothing; full depth is its default.

    Raises:
        ModelFolderError: weights are not finite in 16 bits, `target` is something else, or it cannot be written.
    """
    check_target(target, ours=_FILES, force=True)
    tensors = stored_tensors(model)
    check_finite(tensors, where=str(target))
    presets = {"exact": ExitConfig()}
    with appearing_folder(target) as folder:
        save_weights(folder, tensors)
        processor.save(folder)
        _write_json(folder / CONFIG_FILE, config_document(model.config))
        _write_json(folder / EXITS_FILE, presets_document(presets, default="exact"))
        _write_json(folder / GENERATION_FILE, generation_document(generation))
        exported = Exported(
            parameters=parameter_count(parameter_shapes(model.config)),
            weights_digest=file_digest(folder / WEIGHTS_FILE),
            weights_bytes=(folder / WEIGHTS_FILE).stat().st_size,
        )
        (folder / CARD_FILE).write_text(card(exported), "utf-8")
    return exported


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", "utf-8")
