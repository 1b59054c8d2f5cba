"""What a model folder says without its weights. No torch import: planning needs only this.

A model folder holds config.json (OFA's names, plus `streams` and `quirks`), model.safetensors, the tokenizer's
files, preprocessor_config.json, exits.json (presets) and MODEL_CARD.md. No code is ever taken from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mue_model.config import ConfigError, ExitConfig, ModelConfig, parse_config
from mue_model.grid import STRIDE
from mue_model.processor import Processor

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
EXITS_FILE = "exits.json"
CARD_FILE = "MODEL_CARD.md"

# What this code implements; a published config that says otherwise describes another architecture.
_IMPLEMENTED: dict[str, Any] = {
    "activation_function": "gelu",
    "add_type_embedding": True,
    "code_layernorm_embedding": True,
    "decoder_normalize_before": True,
    "encoder_normalize_before": True,
    "entangle_position_embedding": False,
    "interpolate_position": False,
    "layernorm_embedding": True,
    "model_type": "ofa",
    "normformer": True,
    "patch_layernorm_embedding": True,
    "scale_embedding": False,
    "share_attn_bias": False,
    "share_decoder_input_output_embed": True,
    "use_image_feature": True,
    "use_ofasys": False,
}


class ModelFolderError(ValueError):
    """A model folder cannot be used. The message names the file, the key or tensor, and what to do."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model without its weights."""

    name: str
    """What the user called it."""
    config: ModelConfig
    processor: Processor
    presets: Mapping[str, ExitConfig]
    """Exit settings by name; `default` is always among them."""
    digest: str
    """SHA-256 of weights and configuration."""
    untrained: bool = False
    """True where the texts mean nothing."""

    def __post_init__(self) -> None:
        size, config = self.processor.image_size, self.config
        if size % STRIDE:
            raise ModelFolderError(f"model '{self.name}': image size {size} is not a multiple of {STRIDE} pixels")
        if size // STRIDE > config.image_bucket_size:
            limit = config.image_bucket_size * STRIDE
            raise ModelFolderError(f"model '{self.name}': image size {size} is above {limit}, its largest grid")

    def exits(self, choice: str | ExitConfig) -> ExitConfig:
        """Return the preset called `choice`, or `choice` itself; raise `ConfigError` if it does not fit the model."""
        if isinstance(choice, str) and choice not in self.presets:
            raise ConfigError(
                f"exits = '{choice}': model '{self.name}' has the presets {', '.join(sorted(self.presets))}"
            )
        exits = self.presets[choice] if isinstance(choice, str) else choice
        exits.per_layer(self.config)
        return exits


def read_model_folder(path: str | Path) -> ModelFacts:
    """Read everything but the weights of a model folder; raise `ModelFolderError` naming what is wrong."""
    folder = Path(path)
    if "://" in str(path):
        raise ModelFolderError(f"model '{path}': only local folders can be read; copy it to a local folder first")
    if not folder.is_dir():
        raise ModelFolderError(f"model '{path}': there is no such folder")
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        advice = "`mue model convert SOURCE FOLDER` makes one of a published checkpoint"
        raise ModelFolderError(f"model '{path}': {WEIGHTS_FILE} is missing; {advice}")
    config = read_config(folder / CONFIG_FILE)
    try:
        processor = Processor.from_folder(folder, vocab_size=config.vocab_size)
    except ValueError as error:
        raise ModelFolderError(f"model '{path}': {error}") from error
    digest = hashlib.sha256((folder / CONFIG_FILE).read_bytes())
    digest.update(file_digest(weights).encode())
    digest.update(processor.tokenizer.digest.encode())
    return ModelFacts(
        name=str(path),
        config=config,
        processor=processor,
        presets=read_presets(folder / EXITS_FILE),
        digest=digest.hexdigest(),
    )


def read_config(path: Path) -> ModelConfig:
    """Read a config.json with OFA's names; keys that have no meaning here are passed over."""
    document = read_json(path)
    for key, implemented in _IMPLEMENTED.items():
        if document.get(key, implemented) != implemented:
            raise ModelFolderError(f"{path}: {key} = {document[key]!r} is not implemented, only {implemented!r} is")
    known = {key: value for key, value in document.items() if key in ModelConfig.model_fields}
    try:
        return parse_config(ModelConfig, known, where=str(path))
    except ConfigError as error:
        raise ModelFolderError(str(error)) from error


def config_document(config: ModelConfig) -> dict[str, Any]:
    """Return the content of a config.json that OFA's own code would understand too."""
    return {"architectures": ["OFAModel"], **_IMPLEMENTED, **config.model_dump(mode="json")}


def read_presets(path: Path) -> dict[str, ExitConfig]:
    """Read exits.json; a folder without one has full depth as its only preset."""
    if not path.is_file():
        return {"default": ExitConfig(), "exact": ExitConfig()}
    document = read_json(path)
    presets, default = document.get("presets"), document.get("default")
    if not isinstance(presets, dict) or not isinstance(default, str) or default not in presets:
        raise ModelFolderError(f"{path}: needs 'presets' (an object) and 'default' (one of its names)")
    parsed = {name: parse_config(ExitConfig, value, where=f"{path}: presets.{name}") for name, value in presets.items()}
    return {**parsed, "default": parsed[default]}


def presets_document(presets: Mapping[str, ExitConfig], default: str) -> dict[str, Any]:
    """Return the content of an exits.json; nothing in it is calibrated."""
    return {
        "presets": {name: exits.model_dump(mode="json") for name, exits in presets.items()},
        "default": default,
        "calibration": None,
    }


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise `ModelFolderError` naming the file if there is none."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ModelFolderError(f"{path} holds no JSON object")
    return document


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
