"""The task loss at every decoder layer, through the shared LayerNorm and head (MuE, arXiv 2211.11152)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from mue_model.full_depth import (
    EncodedBatch,
    decode_batch,
    encode_batch,
    encode_images,
    join_streams,
    repeat_rows,
)
from mue_model.grid import grid_of
from mue_model.model import MueModel
from mue_model.tokenizer import PAD
from mue_model.training.batches import IGNORED, Batch, Task
from mue_model.training.recipe import Recipe, layer_weights
from mue_model.training.settling import answer_ranking, stream_ranking, token_ranking


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
    for batch, encoded in zip(batches, _encoded(model, batches, recipe, generator if shallow else None), strict=True):
        loss, layers = _task_loss(model, batch, encoded, recipe, shallow=shallow)
        share = recipe.entailment_share if batch.task == "entailment" else 1 - recipe.entailment_share
        losses.append(share * loss if len(batches) > 1 else loss)
        cross_entropy[batch.task] = layers.detach().tolist()
        if recipe.settling_weight:
            rankings = _stream_rankings(model, batch, encoded, recipe, with_images=batch is batches[0])
            losses.extend(recipe.settling_weight * ranking for ranking in rankings)
    return LossFacts(torch.stack(losses).sum(), cross_entropy)


def _stream_rankings(
    model: MueModel, batch: Batch, encoded: EncodedBatch, recipe: Recipe, *, with_images: bool
) -> Iterator[Tensor]:
    """Yield the ranking losses of the images' tokens and of the texts'; captions have one text, so nothing to rank."""
    rows, columns = grid_of(*batch.pixels.shape[1:3])
    patches, first = rows * columns, first_depths(batch, recipe, model.config.encoder_layers)
    if with_images:
        yield stream_ranking([state[:, :patches] for state in encoded.states], first)
    if batch.task == "entailment" and model.config.streams == "decomposed":
        padding = encoded.padding[:, patches:, None]
        yield stream_ranking([state[:, patches:].masked_fill(padding, 0) for state in encoded.states], first)


def first_depths(batch: Batch, recipe: Recipe, layers: int) -> Tensor:
    """Return the least layers run [N] that are asked of each row: 1, or by its level, but never more than all."""
    if not recipe.depth_by_level:
        return torch.ones(len(batch.levels), dtype=torch.long)
    return (batch.levels - recipe.below_level).clamp(1, layers)


def _first_scored(batch: Batch, recipe: Recipe, layers: int) -> Tensor:
    """Return the first decoder layer [N], counted from 1, that is scored on each row."""
    return first_depths(batch, recipe, layers) if recipe.scored_from_level else torch.ones_like(batch.levels)


def _encoded(
    model: MueModel, batches: Sequence[Batch], recipe: Recipe, depths: torch.Generator | None
) -> Iterator[EncodedBatch]:
    """Yield the memory of each batch, at full depth or, drawn by `depths`, as exits leave it.

    The first batch has the images; another one may have several rows in a row for each of them.
    """
    images = model.normalise(batches[0].pixels)
    first = first_depths(batches[0], recipe, model.config.encoder_layers)
    if model.config.streams == "joint":
        for batch in batches:
            each = len(batch.prompts) // len(images)
            encoded = encode_batch(model, images.repeat_interleave(each, 0), batch.prompts.to(model.device))
            yield at_random_depths(model, encoded, first.repeat_interleave(each), depths)
        return
    image = at_random_depths(model, encode_images(model, images), first, depths)
    for batch in batches:
        each = len(batch.prompts) // len(images)
        text = encode_batch(model, None, batch.prompts.to(model.device))
        text = at_random_depths(model, text, first.repeat_interleave(each), depths)
        yield join_streams(repeat_rows(image, each), text)


def at_random_depths(
    model: MueModel, encoded: EncodedBatch, first: Tensor, depths: torch.Generator | None
) -> EncodedBatch:
    """Return the memory as rows leave it that exit at random layers from `first` [N] on; `depths` None: at the last."""
    if depths is None:
        return encoded
    layers = model.config.encoder_layers
    span = layers + 1 - first
    drawn = first + (torch.rand(len(first), generator=depths) * span).long().clamp(max=span - 1)
    states = torch.stack(encoded.states[1:])
    chosen = states[(drawn - 1).to(states.device), torch.arange(len(drawn), device=states.device)]
    return replace(encoded, memory=model.encoder.layer_norm(chosen))


def _task_loss(
    model: MueModel, batch: Batch, encoded: EncodedBatch, recipe: Recipe, *, shallow: bool
) -> tuple[Tensor, Tensor]:
    """Return the weighted loss, a scalar, and the cross-entropy of each layer [L] over the tokens it is scored on."""
    device = model.device
    states = decode_batch(model, encoded, batch.inputs.to(device))
    smoothing = recipe.label_smoothing if batch.task == "caption" else 0.0
    losses, logits = _layer_losses(model, states, batch, batch.targets.to(device), recipe, smoothing)
    weights = losses.new_tensor(layer_weights(recipe.layer_weights, len(losses)))
    loss = (losses * weights).sum()
    if recipe.self_distillation:
        taught, teacher = logits[:-1], logits[-1].detach()
        if shallow and recipe.teacher == "full_depth":
            taught, teacher = logits, _said_at_full_depth(model, batch, encoded)
        loss = loss + recipe.self_distillation * _distillation(taught, teacher)
    if recipe.settling_weight:
        loss = loss + recipe.settling_weight * _target_ranking(batch, states, logits)
    if recipe.statement_weight and batch.statements is not None:
        said, _ = _layer_losses(model, states, batch, batch.statements.to(device), recipe, recipe.label_smoothing)
        loss = loss + recipe.statement_weight * (said * weights).sum()
    return loss, losses


def _target_ranking(batch: Batch, states: list[Tensor], logits: list[Tensor]) -> Tensor:
    """Return the ranking loss of what the decoder reads: tokens exit one by one, answers as they are scored, whole."""
    scored = (batch.targets != IGNORED).to(states[0].device)
    if batch.task == "caption":
        return token_ranking([state[scored] for state in states], logits)
    padding = (batch.inputs == PAD).to(scored.device)[:, :, None]
    return answer_ranking([state.masked_fill(padding, 0) for state in states], scored, logits)


def _layer_losses(
    model: MueModel, states: list[Tensor], batch: Batch, targets: Tensor, recipe: Recipe, smoothing: float
) -> tuple[Tensor, list[Tensor]]:
    """Return each layer's mean cross-entropy [L] over the tokens it is scored on, and its logits of all scored ones."""
    scored = targets != IGNORED
    logits = [model.logits(state[scored]) for state in states]
    first = _first_scored(batch, recipe, len(states)).to(targets.device)[:, None].expand_as(scored)[scored]
    losses = [
        _mean(
            functional.cross_entropy(each, targets[scored], label_smoothing=smoothing, reduction="none"), first <= depth
        )
        for depth, each in enumerate(logits, 1)
    ]
    return torch.stack(losses), logits


def _mean(losses: Tensor, scored: Tensor) -> Tensor:
    """Mean of the losses [tokens] that are scored; 0 where none is."""
    return (losses * scored).sum() / scored.sum().clamp(min=1)


@torch.no_grad()
def _said_at_full_depth(model: MueModel, batch: Batch, encoded: EncodedBatch) -> Tensor:
    """Return the last layer's logits of all scored tokens if no stream had left early."""
    untouched = replace(encoded, memory=model.encoder.layer_norm(encoded.states[-1]))
    last = decode_batch(model, untouched, batch.inputs.to(model.device))[-1]
    return model.logits(last[batch.targets != IGNORED])


def _distillation(taught: list[Tensor], teacher: Tensor) -> Tensor:
    """Mean divergence of the distributions of some layers from the teacher's."""
    target = functional.log_softmax(teacher, dim=-1)
    divergences = [
        functional.kl_div(functional.log_softmax(layer, dim=-1), target, log_target=True, reduction="batchmean")
        for layer in taught
    ]
    return torch.stack(divergences).mean()
