"""What a model folder says without its weights. No torch import: planning needs only this.

A model folder holds config.json (OFA's names, plus `streams` and `quirks`), model.safetensors, the tokenizer's
files, preprocessor_config.json, exits.json (presets), MODEL_CARD.md and, where its texts are not OFA's captions,
generation_config.json. No code is ever taken from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mue_model.brief import brief
from mue_model.config import ConfigError, ExitConfig, GenerationConfig, ModelConfig, parse_config
from mue_model.grid import STRIDE
from mue_model.processor import CAPTION_PROMPT, Processor
from mue_model.regular_file import read_bounded
from mue_model.strict_json import strict_json
from mue_model.tokenizer import BOS, EOS, PAD, UNK
from mue_model.weights_header import check_weights_header

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
EXITS_FILE = "exits.json"
GENERATION_FILE = "generation_config.json"
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

_SHOWN = 100
"""Characters of a name in messages: a folder's files may hold names of megabytes."""
_MOST_SHOWN = 20

_GENERATION = {"max_tokens": "max_new_tokens", "no_repeat_ngram": "no_repeat_ngram_size"}
"""Our settings by the names that transformers has for them."""


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
    task_presets: Mapping[str, Mapping[str, ExitConfig]] = field(default_factory=dict)
    """By task: those of `presets` that have other settings there, `default` included."""
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    """How its texts are decoded where a job does not say otherwise."""
    digest: str
    """SHA-256 of weights and configuration."""
    folder: Path | None = None
    """Where the weights are; None for the model that is computed instead."""
    untrained: bool = False
    """True where the texts mean nothing."""

    def __post_init__(self) -> None:
        size, config = self.processor.image_size, self.config
        if size % STRIDE:
            raise ModelFolderError(f"model '{self.name}': image size {size} is not a multiple of {STRIDE} pixels")
        if size // STRIDE > config.image_bucket_size:
            limit = config.image_bucket_size * STRIDE
            raise ModelFolderError(f"model '{self.name}': image size {size} is above {limit}, its largest grid")
        for name, expected in (("bos", BOS), ("pad", PAD), ("eos", EOS), ("unk", UNK)):
            if (found := getattr(config, f"{name}_token_id")) != expected:
                raise ModelFolderError(
                    f"model '{self.name}': {name}_token_id is {found}; expected {expected}, as in OFA's vocabulary"
                )
        if UNK in self.processor.prompt_ids():
            raise ModelFolderError(
                f"model '{self.name}': its vocabulary cannot write the prompt '{CAPTION_PROMPT.strip()}'; "
                "vocab.json and merges.txt must be those that it was trained with"
            )

    def exits(self, choice: str | ExitConfig, task: str = "caption") -> ExitConfig:
        """Return `choice`, or the preset of that name for `task`; raise `ConfigError` if it does not fit the model."""
        if isinstance(choice, str) and choice not in self.presets:
            raise ConfigError(f"exits = '{choice}': model '{self.name}' has the presets {_few(sorted(self.presets))}")
        presets = {**self.presets, **self.task_presets.get(task, {})}
        exits = presets[choice] if isinstance(choice, str) else choice
        exits.per_layer(self.config)
        return exits


def read_model_folder(path: str | Path) -> ModelFacts:
    """Read everything but the weights of a model folder; raise `ModelFolderError` naming what is wrong."""
    folder = Path(path)
    if "://" in str(path):
        raise ModelFolderError(
            f"model {brief(str(path))}: only local folders can be read; copy it to a local folder first"
        )
    try:
        found = folder.is_dir()
    except OSError as error:  # a name that is too long, a folder above it that is closed
        raise ModelFolderError(f"model {brief(str(path))}: cannot be looked at: {error.strerror}") from error
    if not found:
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
    try:
        check_weights_header(weights)
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise ModelFolderError(f"{weights} cannot be read as safetensors: {reason}") from error
    digest = hashlib.sha256(read_bounded(folder / CONFIG_FILE))
    digest.update(file_digest(weights).encode())
    digest.update(processor.tokenizer.digest.encode())
    return ModelFacts(
        name=str(path),
        config=config,
        processor=processor,
        presets=read_presets(folder / EXITS_FILE),
        task_presets=read_task_presets(folder / EXITS_FILE),
        generation=read_generation(folder / GENERATION_FILE),
        digest=digest.hexdigest(),
        folder=folder,
    )


def read_config(path: Path) -> ModelConfig:
    """Read a config.json with OFA's names; keys that have no meaning here are passed over."""
    document = read_json(path)
    for key, implemented in _IMPLEMENTED.items():
        if document.get(key, implemented) != implemented:
            raise ModelFolderError(
                f"{path}: {key} = {brief(document[key])} is not implemented, only {implemented!r} is"
            )
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
    parsed = _parsed(presets, f"{path}: presets")
    return {**parsed, "default": parsed[default]}


def read_task_presets(path: Path) -> dict[str, dict[str, ExitConfig]]:
    """Read what exits.json says of single tasks; their presets are among those of `read_presets`."""
    document = read_json(path) if path.is_file() else {}
    tasks, found = document.get("tasks", {}), {}
    for task, own in tasks.items() if isinstance(tasks, dict) else [("", None)]:
        if not isinstance(own, dict) or not own.keys() <= read_presets(path).keys() - {"default"}:
            raise ModelFolderError(f"{path}: 'tasks' needs an object for each task, with names of 'presets'")
        parsed = _parsed(own, f"{path}: tasks.{task[:_SHOWN]}")
        default = document["default"]
        found[task] = parsed | ({"default": parsed[default]} if default in parsed else {})
    return found


def _parsed(presets: Mapping[str, Any], where: str) -> dict[str, ExitConfig]:
    return {name: parse_config(ExitConfig, value, where=f"{where}.{name[:_SHOWN]}") for name, value in presets.items()}


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(name[:_SHOWN] for name in names[:_MOST_SHOWN])
    return shown if len(names) <= _MOST_SHOWN else f"{shown} and {len(names) - _MOST_SHOWN:,} more"


def presets_document(
    presets: Mapping[str, ExitConfig],
    default: str,
    calibration: Mapping[str, Any] | None = None,
    task_presets: Mapping[str, Mapping[str, ExitConfig]] | None = None,
) -> dict[str, Any]:
    """Return the content of an exits.json; `calibration` says where thresholds come from, None that nothing does."""
    tasks = {task: _dumped(own) for task, own in (task_presets or {}).items() if own}
    content = {"presets": _dumped(presets), "default": default, "calibration": calibration}
    return content | ({"tasks": tasks} if tasks else {})


def _dumped(presets: Mapping[str, ExitConfig]) -> dict[str, Any]:
    return {name: exits.model_dump(mode="json") for name, exits in presets.items()}


def read_generation(path: Path) -> GenerationConfig:
    """Read a generation_config.json; other keys of transformers' are passed over, a missing file is OFA's default."""
    if not path.is_file():
        return GenerationConfig()
    document = read_json(path)
    known = {ours: document[theirs] for ours, theirs in _GENERATION.items() if theirs in document}
    try:
        return parse_config(GenerationConfig, known, where=str(path))
    except ConfigError as error:
        raise ModelFolderError(str(error)) from error


def generation_document(generation: GenerationConfig) -> dict[str, Any]:
    """Return the content of a generation_config.json, by transformers' names."""
    return {theirs: getattr(generation, ours) for ours, theirs in _GENERATION.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise `ModelFolderError` naming the file if there is none."""
    try:
        document = strict_json(read_bounded(path).decode())
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
