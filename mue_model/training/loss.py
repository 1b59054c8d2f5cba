"""The task loss at every decoder layer, through the shared LayerNorm and head (MuE, arXiv 2211.11152)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from mue_model.full_depth import EncodedBatch, decode_batch, encode_batch, encode_images, join_streams
from mue_model.model import MueModel
from mue_model.training.batches import IGNORED, Batch, Task
from mue_model.training.recipe import Recipe, layer_weights


@dataclass(frozen=True)
class LossFacts:
    """The loss of batches about the same images, and what it is made of."""

    loss: Tensor
    """What is minimised; a scalar."""
    cross_entropy: dict[Task, list[float]]
    """By task: mean over the scored tokens by decoder layer, smoothed labels included."""


def batch_loss(model: MueModel, batches: Sequence[Batch], recipe: Recipe, generator: torch.Generator) -> LossFacts:
    """Return the loss of one batch, or of a pair weighted by task; `generator` (on the CPU) draws the exit depths.

    The image stream of decomposed models, and its exit depths, are the same for all batches.
    """
    shallow = recipe.random_depth and float(torch.rand((), generator=generator)) < 0.5
    losses, cross_entropy = [], {}
    for batch, encoded in zip(batches, _encoded(model, batches, generator if shallow else None), strict=True):
        loss, layers = _task_loss(model, batch, encoded, recipe)
        share = recipe.entailment_share if batch.task == "entailment" else 1 - recipe.entailment_share
        losses.append(share * loss if len(batches) > 1 else loss)
        cross_entropy[batch.task] = layers.detach().tolist()
    return LossFacts(torch.stack(losses).sum(), cross_entropy)


def _encoded(model: MueModel, batches: Sequence[Batch], depths: torch.Generator | None) -> Iterator[EncodedBatch]:
    """Yield the memory of each batch, at full depth or, drawn by `depths`, as exits leave it."""
    images = model.normalise(batches[0].pixels)
    if model.config.streams == "joint":
        for batch in batches:
            yield at_random_depths(model, encode_batch(model, images, batch.prompts.to(model.device)), depths)
        return
    image = at_random_depths(model, encode_images(model, images), depths)
    for batch in batches:
        text = encode_batch(model, None, batch.prompts.to(model.device))
        yield join_streams(image, at_random_depths(model, text, depths))


def at_random_depths(model: MueModel, encoded: EncodedBatch, depths: torch.Generator | None) -> EncodedBatch:
    """Return the memory as rows leave it that exit at random layers drawn by `depths`; None: at the last."""
    if depths is None:
        return encoded
    layers = model.config.encoder_layers
    drawn = torch.randint(1, layers + 1, (len(encoded.memory),), generator=depths).to(encoded.memory.device)
    states = torch.stack(encoded.states[1:])
    chosen = states[drawn - 1, torch.arange(len(drawn), device=drawn.device)]
    return replace(encoded, memory=model.encoder.layer_norm(chosen))


def _task_loss(model: MueModel, batch: Batch, encoded: EncodedBatch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the weighted loss, a scalar, and the cross-entropy of each layer [L]."""
    device = model.device
    states = decode_batch(model, encoded, batch.inputs.to(device))
    scored = (batch.targets != IGNORED).to(device)
    targets = batch.targets.to(device)[scored]
    smoothing = recipe.label_smoothing if batch.task == "caption" else 0.0
    logits = [model.logits(state[scored]) for state in states]
    losses = torch.stack([functional.cross_entropy(layer, targets, label_smoothing=smoothing) for layer in logits])
    loss = (losses * losses.new_tensor(layer_weights(recipe.layer_weights, len(losses)))).sum()
    if recipe.self_distillation:
        loss = loss + recipe.self_distillation * _distillation(logits)
    return loss, losses


def _distillation(logits: list[Tensor]) -> Tensor:
    """Mean divergence of the earlier layers' distributions from the last layer's."""
    teacher = functional.log_softmax(logits[-1].detach(), dim=-1)
    divergences = [
        functional.kl_div(functional.log_softmax(layer, dim=-1), teacher, log_target=True, reduction="batchmean")
        for layer in logits[:-1]
    ]
    return torch.stack(divergences).mean()
