"""What a model says about itself, read without its weights and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from jobs.terminal import pairs_table
from mue_model.config import ExitConfig
from mue_model.model_folder import ModelFacts


def model_document(facts: ModelFacts) -> dict[str, Any]:
    """Return the facts ready for JSON."""
    return {
        "model": facts.name,
        "untrained": facts.untrained,
        "digest": facts.digest,
        "image_size": facts.processor.image_size,
        "presets": _dumped(facts.presets),
        "task_presets": {task: _dumped(own) for task, own in facts.task_presets.items()},
        "config": facts.config.model_dump(mode="json"),
    }


def model_table(facts: ModelFacts) -> Table:
    """Return the facts for people."""
    config = facts.config
    pairs = [
        ("model", facts.name + (" (untrained: its texts mean nothing)" if facts.untrained else "")),
        ("digest", facts.digest),
        ("encoder", f"{config.encoder_layers} layers, {config.encoder_attention_heads} heads"),
        ("decoder", f"{config.decoder_layers} layers, {config.decoder_attention_heads} heads"),
        ("width", f"{config.d_model}, stem {config.resnet_type}, vocabulary {config.vocab_size:,}"),
        ("image size", f"{facts.processor.image_size} pixels"),
        ("streams", config.streams),
    ]
    for where, presets in {"": facts.presets, **{f", {task}": own for task, own in facts.task_presets.items()}}.items():
        for name, exits in sorted(presets.items()):
            thresholds = ", ".join(f"{key} {value}" for key, value in exits.model_dump(mode="json").items())
            pairs.append((f"exits '{name}'{where}", thresholds))
    return pairs_table(pairs)


def _dumped(presets: Mapping[str, ExitConfig]) -> dict[str, Any]:
    return {name: exits.model_dump(mode="json") for name, exits in presets.items()}
