"""What a model says about itself, read without its weights and without torch."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from jobs.terminal import pairs_table
from mue_model.model_folder import ModelFacts


def model_document(facts: ModelFacts) -> dict[str, Any]:
    """Return the facts ready for JSON."""
    return {
        "model": facts.name,
        "untrained": facts.untrained,
        "digest": facts.digest,
        "image_size": facts.processor.image_size,
        "presets": {name: exits.model_dump(mode="json") for name, exits in facts.presets.items()},
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
    for name, exits in sorted(facts.presets.items()):
        thresholds = ", ".join(f"{key} {value}" for key, value in exits.model_dump(mode="json").items())
        pairs.append((f"exits '{name}'", thresholds))
    return pairs_table(pairs)
