"""How a model is trained. `RECIPES` holds the named ones; a recipe is recorded with the checkpoint. No torch import."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mue_model.config import Config

LayerWeights = Literal["equal", "linear", "last"]
Teacher = Literal["last_layer", "full_depth"]


class Recipe(Config):
    """What is minimised, and how."""

    layer_weights: LayerWeights = "equal"
    """Weight of each decoder layer's cross-entropy: `equal` sums them as published; `linear` is i / sum (CALM);
    `last` asks nothing of the others, as without MuE's loss."""
    random_depth: bool = False
    """In half the batches, let the decoder see each stream of each row at a random exit depth, as exits do."""
    depth_by_level: bool = False
    """Ask nothing of layers below a row's level of difficulty: its exit depths are drawn from there on, and no decoder
    layer below is scored on it. So early layers serve easy rows, and hard rows may need the later ones."""
    below_level: int = Field(default=0, ge=0)
    """By how many layers a row's depth may stay below its level (`depth_by_level`)."""
    scored_from_level: bool = True
    """Whether `depth_by_level` spares decoder layers, too. False: all of them learn all rows, from memory that may have
    left at the rows' level but not before."""
    self_distillation: float = Field(default=0.0, ge=0)
    """Weight of the divergence of each earlier layer from the last one, which is not pulled along."""
    teacher: Teacher = "last_layer"
    """What earlier layers learn from (`self_distillation`): `last_layer`, of the same memory, shallow where exit depths
    are drawn; `full_depth`, of memory that no exit has touched, from which the last layer of shallow memory learns."""
    settling_weight: float = Field(default=0.0, ge=0)
    """Weight of the ranking of similarities, from layer to layer, of what has settled above what has not: images and
    hypotheses that have reached their level (`depth_by_level`), tokens and answers that the last layer would not
    change."""
    entailment_share: float = Field(default=0.3, ge=0, le=1)
    """Share of batches that hold entailment instead of captions; in pairs, weight of its loss in every batch."""
    paired: bool = False
    """Learn a caption and a hypothesis of each image together, which needs one pass of a decomposed image stream."""
    hypotheses: int = Field(default=1, gt=0)
    """Hypotheses of each image in a pair, none twice; an image that has fewer repeats them."""
    neutral_share: float | None = Field(default=None, ge=0, le=1)
    """Share of a pair's hypotheses that no image decides; None: as many as the corpus has. They are told by their
    words and take training from those that need a look."""
    statement_weight: float = Field(default=0.0, ge=0)
    """Weight of the words of entailed hypotheses beside their answers: who can say what is true of an image looks for
    what a statement speaks of."""
    paraphrase_share: float = Field(default=1.0, ge=0, le=1)
    """Share of captions drawn from all of a row's; the others are its first one."""
    curriculum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps over which levels of difficulty join one after another, the easiest alone at first; 0: all
    levels from the start."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """For captions; answers are not smoothed."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak, reached after the warm-up; decays to a hundredth along a cosine."""
    warmup_steps: int = Field(default=200, ge=0)
    """Steps in which the learning rate grows to its peak."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled decay of matrices and tables; biases and norms are left alone."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of a step's gradient."""
    batch_rows: int = Field(default=48, gt=0)
    """Rows of a batch of captions, and of one in pairs."""
    entailment_batch_rows: int = Field(default=48, gt=0)
    """Rows of a batch of entailment."""
    freeze_batch_norm: bool = False
    """Keep the stem's running statistics and normalise by them, as for small batches on a trained stem."""


RECIPES: dict[str, Recipe] = {
    "published": Recipe(),
    "ours": Recipe(layer_weights="linear", random_depth=True),
    "distilled": Recipe(layer_weights="linear", random_depth=True, self_distillation=0.5),
    "drawn": Recipe(
        layer_weights="linear",
        random_depth=True,
        paired=True,
        paraphrase_share=0.25,
        curriculum=0.35,
        learning_rate=5e-4,
        warmup_steps=1000,
    ),
}
"""`published`: plain sum over layers, encoder at full depth. `ours`: layers weighted, random exit depths.

`distilled`: ours, and earlier layers learn from the last. `drawn`: ours, for a drawn corpus and new weights: captions
and hypotheses in pairs, easy pictures first, mostly the caption that is the only one of its form.
"""

FINE_TUNING = {"learning_rate": 3e-5, "batch_rows": 64, "entailment_batch_rows": 64, "freeze_batch_norm": True}
"""What any recipe takes instead when it starts from trained weights: rate and batch as MuE was fine-tuned."""


def layer_weights(kind: LayerWeights, layers: int) -> list[float]:
    """Return the weight of each decoder layer."""
    if kind == "equal":
        return [1.0] * layers
    if kind == "last":
        return [0.0] * (layers - 1) + [1.0]
    total = layers * (layers + 1) / 2
    return [(layer + 1) / total for layer in range(layers)]
