"""The task loss at every decoder layer, through the shared LayerNorm and head (MuE, arXiv 2211.11152)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from mue_model.full_depth import EncodedBatch, decode_batch, encode_batch
from mue_model.model import MueModel
from mue_model.training.batches import IGNORED, Batch
from mue_model.training.recipe import Recipe, layer_weights


@dataclass(frozen=True)
class LossFacts:
    """A batch's loss and what it is made of."""

    loss: Tensor
    """What is minimised; a scalar."""
    cross_entropy: list[float]
    """Mean over the scored tokens by decoder layer, smoothed labels included."""


def batch_loss(model: MueModel, batch: Batch, recipe: Recipe, generator: torch.Generator) -> LossFacts:
    """Return the loss of one batch; `generator` (on the CPU) draws the exit depths."""
    device = model.device
    encoded = encode_batch(model, model.normalise(batch.pixels), batch.prompts.to(device))
    if recipe.random_depth and float(torch.rand((), generator=generator)) < 0.5:
        encoded = at_random_depths(model, encoded, batch.prompts.shape[1], generator)
    states = decode_batch(model, encoded, batch.inputs.to(device))
    scored = (batch.targets != IGNORED).to(device)
    targets = batch.targets.to(device)[scored]
    smoothing = recipe.label_smoothing if batch.task == "caption" else 0.0
    logits = [model.logits(state[scored]) for state in states]
    losses = [functional.cross_entropy(layer, targets, label_smoothing=smoothing) for layer in logits]
    weights = layer_weights(recipe.layer_weights, len(losses))
    loss = torch.stack([weight * layer for weight, layer in zip(weights, losses, strict=True)]).sum()
    if recipe.self_distillation:
        loss = loss + recipe.self_distillation * _distillation(logits)
    return LossFacts(loss, torch.stack(losses).detach().tolist())


def at_random_depths(
    model: MueModel, encoded: EncodedBatch, prompt_tokens: int, generator: torch.Generator
) -> EncodedBatch:
    """Return the memory as rows leave it that exit at random layers, each stream at its own (joint: one for both)."""
    rows, tokens = encoded.padding.shape
    layers = model.config.encoder_layers
    image = torch.randint(1, layers + 1, (rows, 1), generator=generator)
    text = image if model.config.streams == "joint" else torch.randint(1, layers + 1, (rows, 1), generator=generator)
    patches = tokens - prompt_tokens
    depths = torch.cat([image.expand(-1, patches), text.expand(-1, prompt_tokens)], dim=1).to(encoded.memory.device)
    chosen = torch.zeros_like(encoded.memory)
    for depth in range(1, layers + 1):
        chosen = torch.where((depths == depth)[:, :, None], encoded.states[depth], chosen)
    return replace(encoded, memory=model.encoder.layer_norm(chosen))


def _distillation(logits: list[Tensor]) -> Tensor:
    """Mean divergence of the earlier layers' distributions from the last layer's."""
    teacher = functional.log_softmax(logits[-1].detach(), dim=-1)
    divergences = [
        functional.kl_div(functional.log_softmax(layer, dim=-1), teacher, log_target=True, reduction="batchmean")
        for layer in logits[:-1]
    ]
    return torch.stack(divergences).mean()
