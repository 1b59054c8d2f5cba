"""MODEL_CARD.md of a trained model: data, recipe, command, figures, limits. It names no folder of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mue_model.config import ModelConfig
from mue_model.training.export import Exported
from mue_model.training.recipe import Recipe
from mue_model.training.validation import Scores, Validation


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the card says besides the figures of the weights."""

    name: str
    command: str
    config: ModelConfig
    recipe_name: str
    recipe: Recipe
    steps: int
    seed: int
    origin: Mapping[str, Any]
    data: Mapping[str, str]
    """What was trained on, in words, by the name of the fact."""
    versions: Mapping[str, str]
    notes: Sequence[str]
    validation: Validation | None
    """Of the weights as they are stored."""


def training_card(facts: CardFacts, exported: Exported) -> str:
    """Return the card."""
    config = facts.config
    sections = [
        f"# {facts.name}",
        f"OFA architecture with MuE's early exits: {exported.parameters:,} parameters, {config.encoder_layers} encoder "
        f"and {config.decoder_layers} decoder layers of width {config.d_model}, stem {config.resnet_type}, "
        f"{config.vocab_size:,} token ids, streams {config.streams}.",
        f"    {facts.command}",
        "## Data",
        _table(("", ""), facts.data.items()),
        "The licence of the pictures is that of the corpus, which names it.",
        "## Training",
        f"Recipe `{facts.recipe_name}`, {facts.steps:,} steps, seed {facts.seed}; first weights: "
        f"{', '.join(f'{key} {value}' for key, value in facts.origin.items())}.",
        _table(("setting", "value"), ((key, str(value)) for key, value in facts.recipe.model_dump().items())),
        _table(("", ""), facts.versions.items()),
        "## Weights",
        f"`model.safetensors`: 16-bit floating point, {exported.weights_bytes:,} bytes, SHA-256 "
        f"`{exported.weights_digest}`.",
        "## Validation",
        *_validation(facts.validation),
        EXITS_HEAD,
        "As trained, the only preset is `exact`: full depth, the default. `mue tune` adds others to exits.json, which "
        "says what they were calibrated on.",
        LIMITS_HEAD,
        "\n".join(f"- {note}" for note in (*facts.notes, *_LIMITS)),
    ]
    return "\n\n".join(sections) + "\n"


EXITS_HEAD = "## Exits"
LIMITS_HEAD = "## Limits"
_LIMITS = (
    "It knows what its corpus shows and the words of its vocabulary. Trained on drawn scenes, it says nothing useful "
    "about photographs.",
    "The figures under Validation are teacher-forced: each token is judged after the right ones before it. Texts that "
    "the model writes on its own are scored by `mue eval`.",
)


def _validation(validation: Validation | None) -> Iterable[str]:
    if validation is None:
        yield "None: the corpus has no validation split, or it was switched off."
        return
    yield (
        "On rows that were not trained on, of the weights as they are stored, every token given the right ones before "
        "it, the encoder at full depth; by decoder layer, as if decoding ended there."
    )
    for task, scores in validation.tasks.items():
        rows = [("all", scores), *validation.by_level[task].items()]
        heads = ("level", "rows", *(f"layer {layer + 1}" for layer in range(len(scores.cross_entropy))))
        yield f"Share of likeliest tokens that are right, {task}:"
        yield _table(heads, ((name, str(its.rows), *_shares(its)) for name, its in rows))
        yield (
            f"Rows of which every token is right at the last layer, {task}: {scores.row_accuracy[-1]:.1%}; "
            f"cross-entropy per token there: {scores.cross_entropy[-1]:.4f}."
        )


def _shares(scores: Scores) -> list[str]:
    return [f"{share:.1%}" for share in scores.token_accuracy]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
