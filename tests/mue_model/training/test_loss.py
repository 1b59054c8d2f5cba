"""The loss against cross-entropies written out by hand, and random depths against the reference, in 64 bits."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from mue_model.exits import Depths, ScriptedExit
from mue_model.full_depth import EncodedBatch, decode_batch, encode_batch, encode_images, join_streams
from mue_model.model import MueModel
from mue_model.reference import encode
from mue_model.training.batches import IGNORED, Batch
from mue_model.training.loss import at_random_depths, batch_loss, first_depths
from mue_model.training.recipe import Recipe
from mue_model.training.settling import answer_ranking, stream_ranking, token_ranking

PROMPTS = [[0, 5, 6, 7, 2], [0, 9, 2], [0, 4, 11, 2]]
INPUTS = [[0, 7, 9, 12], [0, 8, 1, 1], [0, 4, 4, 1]]
TARGETS = [[7, 9, 12, 2], [8, 2, IGNORED, IGNORED], [IGNORED, 4, 2, IGNORED]]
LEVELS = [1, 3, 9]
PUBLISHED = Recipe()

SmallModel = Callable[..., MueModel]


def padded(rows: list[list[int]]) -> Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [1] * (longest - len(row)) for row in rows])


def batch_of(task: Any = "caption") -> Batch:
    pixels = torch.randint(256, (3, 32, 48, 3), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)
    return Batch(task, pixels, padded(PROMPTS), padded(INPUTS), torch.tensor(TARGETS), torch.tensor(LEVELS))


def test_settling_adds_the_ranking_of_images_by_level_and_of_tokens(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), replace(batch_of(), levels=torch.tensor([3, 1, 2]))
    recipe = Recipe(depth_by_level=True)
    plain = batch_loss(model, [batch], recipe, draws()).loss
    ranked = batch_loss(model, [batch], recipe.model_copy(update={"settling_weight": 0.5}), draws()).loss
    encoded = encode_batch(model, model.normalise(batch.pixels), batch.prompts)
    states = decode_batch(model, encoded, batch.inputs)
    scored = batch.targets != IGNORED
    images = stream_ranking([state[:, :6] for state in encoded.states], torch.tensor([3, 1, 2]))
    tokens = token_ranking([state[scored] for state in states], [model.logits(state[scored]) for state in states])
    assert float(images) > 0
    assert float(tokens) > 0
    torch.testing.assert_close(ranked - plain, 0.5 * (images + tokens), rtol=0, atol=1e-9)


def test_settling_ranks_hypotheses_and_answers_whatever_pads_them(small_model: SmallModel) -> None:
    model, levels = small_model(streams="decomposed"), torch.tensor([1, 3, 2])
    batch = replace(batch_of("entailment"), levels=levels)
    recipe = Recipe(depth_by_level=True)
    plain = batch_loss(model, [batch], recipe, draws()).loss
    ranked = batch_loss(model, [batch], recipe.model_copy(update={"settling_weight": 0.5}), draws()).loss
    encoded = encode_batch(model, model.normalise(batch.pixels), batch.prompts)
    states, scored = decode_batch(model, encoded, batch.inputs), batch.targets != IGNORED
    images = stream_ranking([state[:, :6] for state in encoded.states], levels)
    texts = stream_ranking([unpadded(state[:, 6:], PROMPTS) for state in encoded.states], levels)
    answers = answer_ranking(
        [unpadded(state, INPUTS) for state in states], scored, [model.logits(state[scored]) for state in states]
    )
    assert min(float(images), float(texts), float(answers)) > 0
    torch.testing.assert_close(ranked - plain, 0.5 * (images + texts + answers), rtol=0, atol=1e-9)


def unpadded(states: Tensor, ids: list[list[int]]) -> Tensor:
    """The same, with zeros where there is no token: they turn no similarity."""
    kept = states.clone()
    for row, own in enumerate(ids):
        kept[row, len([token for token in own if token != 1]) :] = 0
    return kept


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_hand(model: MueModel, batch: Batch, smoothing: float) -> list[float]:
    """Mean cross-entropy over the scored tokens of each layer, one logarithm at a time."""
    encoded = encode_batch(model, model.normalise(batch.pixels), batch.prompts)
    found = []
    for state in decode_batch(model, encoded, batch.inputs):
        terms = []
        for row, targets in enumerate(batch.targets.tolist()):
            for place, target in enumerate(targets):
                if target != IGNORED:
                    logits = model.logits(state[row : row + 1, place : place + 1])[0, 0]
                    minus = logits.exp().sum().log() - logits
                    terms.append(float((1 - smoothing) * minus[target] + smoothing * minus.mean()))
        assert terms
        found.append(sum(terms) / len(terms))
    return found


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
def test_published_is_the_plain_sum_over_layers_of_cross_entropies(small_model: SmallModel, streams: str) -> None:
    model, batch = small_model(streams=streams), batch_of()
    facts = batch_loss(model, [batch], PUBLISHED, draws())
    expected = by_hand(model, batch, 0.1)
    assert facts.cross_entropy["caption"] == pytest.approx(expected, abs=1e-10)
    assert float(facts.loss) == pytest.approx(sum(expected), abs=1e-10)
    assert len(set(expected)) == model.config.decoder_layers == 4


def test_answers_are_not_smoothed(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of("entailment")
    facts = batch_loss(model, [batch], PUBLISHED, draws())
    assert facts.cross_entropy["entailment"] == pytest.approx(by_hand(model, batch, 0.0), abs=1e-10)


def test_linear_weights_favour_later_layers(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of()
    loss = float(batch_loss(model, [batch], Recipe(layer_weights="linear"), draws()).loss)
    expected = sum(weight * layer for weight, layer in zip((0.1, 0.2, 0.3, 0.4), by_hand(model, batch, 0.1)))  # noqa: B905
    assert loss == pytest.approx(expected, abs=1e-10)


# Random depths


def exits_drawn(model: MueModel, batch: Batch, seed: int, recipe: Recipe = PUBLISHED) -> EncodedBatch:
    """What the decoder sees in training, of one batch."""
    return exits_drawn_by(model, batch, draws(seed), recipe)


def exits_drawn_by(model: MueModel, batch: Batch, generator: torch.Generator, recipe: Recipe) -> EncodedBatch:
    images = model.normalise(batch.pixels)
    first = first_depths(batch, recipe, model.config.encoder_layers)
    if model.config.streams == "joint":
        return at_random_depths(model, encode_batch(model, images, batch.prompts), first, generator)
    image = at_random_depths(model, encode_images(model, images), first, generator)
    return join_streams(image, at_random_depths(model, encode_batch(model, None, batch.prompts), first, generator))


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
def test_each_row_has_the_memory_of_its_own_exit_depth(small_model: SmallModel, streams: str) -> None:
    model, batch = small_model(streams=streams), batch_of()
    images, layers = model.normalise(batch.pixels), model.config.encoder_layers
    batches: list[list[tuple[int, ...]]] = []
    for seed in range(4):
        encoded = exits_drawn(model, batch, seed)
        batches.append([])
        for row, prompt in enumerate(PROMPTS):
            memory = encoded.memory[row, ~encoded.padding[row]]
            depths = [
                depth
                for depth in product(range(1, layers + 1), repeat=2)
                if torch.allclose(memory, exited(model, images[row], prompt, *depth), rtol=0, atol=1e-12)
            ]
            assert len(depths) == (1 if streams == "decomposed" else layers), "joint: the text depth is not looked at"
            batches[-1].append(depths[0])
    for stream in (0, 1) if streams == "decomposed" else (0,):
        assert {depths[stream] for batch in batches for depths in batch} == set(range(1, layers + 1))
        assert any(len({depths[stream] for depths in batch}) > 1 for batch in batches), "rows differ inside a batch"
    if streams == "decomposed":
        assert any(image != text for batch in batches for image, text in batch)


def exited(model: MueModel, image: Tensor, prompt: list[int], image_depth: int, text_depth: int) -> Tensor:
    policy = ScriptedExit({"": Depths(image_depth, text_depth, (1,))})
    return encode(model, image[None], torch.tensor([prompt]), policy).memory[0]


@pytest.mark.parametrize("below", [0, 1])
def test_hard_rows_are_never_asked_to_exit_below_their_level(small_model: SmallModel, below: int) -> None:
    model, batch = small_model(streams="decomposed"), batch_of()
    recipe = Recipe(depth_by_level=True, below_level=below)
    layers, seen = model.config.encoder_layers, [set[int]() for _ in LEVELS]
    images = encode_images(model, model.normalise(batch.pixels))
    for seed in range(30):
        memory = exits_drawn(model, batch, seed, recipe).memory[:, : images.memory.shape[1]]
        for row, found in enumerate(seen):
            exits = [model.encoder.layer_norm(state[row]) for state in images.states[1:]]
            found |= {depth for depth, own in enumerate(exits, 1) if torch.equal(own, memory[row])}
    assert seen == [set(range(min(max(level - below, 1), layers), layers + 1)) for level in LEVELS]


def test_layers_below_a_rows_level_are_not_scored_on_it(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of("entailment")
    found = batch_loss(model, [batch], Recipe(depth_by_level=True), draws()).cross_entropy["entailment"]
    for layer, rows in enumerate(([0], [0], [0, 1], [0, 1, 2])):
        alone = dataclasses.replace(
            batch,
            **{name: getattr(batch, name)[rows] for name in ("pixels", "prompts", "inputs", "targets", "levels")},
        )
        expected = batch_loss(model, [alone], PUBLISHED, draws()).cross_entropy["entailment"][layer]
        assert found[layer] == pytest.approx(expected, abs=1e-10)


def test_decoder_layers_may_be_scored_on_rows_whose_memory_keeps_to_their_level(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of("entailment")
    recipe = Recipe(depth_by_level=True, scored_from_level=False)
    for seed in range(5):  # what the level spares is what the encoder's exits are drawn from, in either case
        assert torch.equal(
            exits_drawn(model, batch, seed, recipe).memory,
            exits_drawn(model, batch, seed, Recipe(depth_by_level=True)).memory,
        )
    found = batch_loss(model, [batch], recipe, draws()).cross_entropy["entailment"]
    assert found == batch_loss(model, [batch], PUBLISHED, draws()).cross_entropy["entailment"]


def test_half_of_the_batches_are_at_full_depth(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of()
    full = float(batch_loss(model, [batch], PUBLISHED, draws()).loss)
    losses = [float(batch_loss(model, [batch], Recipe(random_depth=True), draws(seed)).loss) for seed in range(40)]
    assert 10 <= losses.count(full) <= 30
    assert len(set(losses)) > 5


def test_the_same_draws_give_the_same_loss(small_model: SmallModel) -> None:
    model, batch, recipe = small_model(streams="decomposed"), batch_of(), Recipe(random_depth=True)
    assert [batch_loss(model, [batch], recipe, draws(seed)).cross_entropy for seed in range(4)] == [
        batch_loss(model, [batch], recipe, draws(seed)).cross_entropy for seed in range(4)
    ]


# Pairs


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
def test_a_pair_weighs_its_tasks_by_their_shares(small_model: SmallModel, streams: str) -> None:
    model, recipe = small_model(streams=streams), Recipe(paired=True, entailment_share=0.25)
    pair = [batch_of("caption"), batch_of("entailment")]
    facts = batch_loss(model, pair, recipe, draws())
    caption, entailment = sum(by_hand(model, pair[0], 0.1)), sum(by_hand(model, pair[1], 0.0))
    assert float(facts.loss) == pytest.approx(0.75 * caption + 0.25 * entailment, abs=1e-10)
    assert list(facts.cross_entropy) == ["caption", "entailment"]


def test_a_pair_runs_a_decomposed_image_stream_once(small_model: SmallModel) -> None:
    model, seen = small_model(streams="decomposed"), []
    handle = model.encoder.embed_images.register_forward_hook(lambda module, images, _: seen.append(len(images[0])))
    batch_loss(model, [batch_of("caption"), batch_of("entailment")], Recipe(paired=True), draws())
    handle.remove()
    assert seen == [3]


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
def test_several_hypotheses_of_an_image_are_pairs_of_their_own(small_model: SmallModel, streams: str) -> None:
    model, recipe = small_model(streams=streams), Recipe(paired=True, entailment_share=1.0)
    captions, asked = batch_of("caption"), batch_of("entailment")
    order = torch.tensor([0, 1, 2]).repeat_interleave(2)
    texts = torch.tensor([0, 1, 1, 2, 2, 0])
    several = replace(
        asked,
        pixels=captions.pixels[order],
        prompts=asked.prompts[texts],
        inputs=asked.inputs[texts],
        targets=asked.targets[texts],
        levels=captions.levels[order],
    )
    facts = batch_loss(model, [captions, several], recipe, draws())
    assert float(facts.loss) == pytest.approx(sum(by_hand(model, several, 0.0)), abs=1e-10)


def test_statements_add_the_loss_of_their_words(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of("entailment")
    statements = batch.inputs.roll(-1, 1)
    statements[:, -1] = IGNORED
    statements[0] = IGNORED
    asked = replace(batch, statements=statements)
    plain, with_words = (
        float(batch_loss(model, [asked], Recipe(statement_weight=weight, label_smoothing=0.0), draws()).loss)
        for weight in (0.0, 0.5)
    )
    words = sum(by_hand(model, replace(batch, targets=statements), 0.0))
    assert with_words == pytest.approx(plain + 0.5 * words, abs=1e-10)


# Self-distillation


def test_distillation_pulls_earlier_layers_and_leaves_the_last_alone(small_model: SmallModel) -> None:
    model = copy.deepcopy(small_model(streams="decomposed")).requires_grad_(True)
    batch = batch_of()
    with_it = batch_loss(model, [batch], Recipe(self_distillation=2.0), draws()).loss
    without = batch_loss(model, [batch], PUBLISHED, draws()).loss
    assert float(with_it.detach()) > float(without.detach())
    (with_it - without).backward()
    grown = {
        layer: max(float(p.grad.abs().max()) for p in model.decoder_layer(layer).parameters() if p.grad is not None)
        for layer in range(4)
    }
    assert grown[3] < 1e-12
    assert min(grown[layer] for layer in range(3)) > 1e-6


def test_layers_that_agree_with_the_last_pay_nothing(small_model: SmallModel) -> None:
    model = copy.deepcopy(small_model(streams="decomposed"))
    for layer in range(1, 4):
        for parameter in model.decoder_layer(layer).parameters():
            parameter.zero_()
    batch = batch_of()
    with_it = batch_loss(model, [batch], Recipe(self_distillation=1.0), draws()).loss
    assert float(with_it) == pytest.approx(float(batch_loss(model, [batch], PUBLISHED, draws()).loss), abs=1e-12)


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_full_depth_teaches_every_layer_of_memory_that_exits_have_touched(small_model: SmallModel, task: Any) -> None:
    """And is not pulled along: the gradient is that of the taught alone."""
    model = copy.deepcopy(small_model(streams="decomposed")).requires_grad_(True)
    batch = batch_of(task)
    seed = next(seed for seed in range(99) if float(torch.rand((), generator=draws(seed))) < 0.5)
    plain, taught = Recipe(random_depth=True), Recipe(random_depth=True, self_distillation=2.0, teacher="full_depth")
    added = batch_loss(model, [batch], taught, draws(seed)).loss - batch_loss(model, [batch], plain, draws(seed)).loss
    teacher, shallow = taught_by_hand(model, batch, seed)
    divergences = [(teacher * (teacher.log() - own.log())).sum(-1).mean() for own in shallow]
    assert min(float(own.detach()) for own in divergences) > 0
    by_hand = 2 * torch.stack(divergences).mean()
    assert float(added.detach()) == pytest.approx(float(by_hand.detach()), abs=1e-10)
    parameters = list(model.parameters())
    for own, expected in zip(gradients(added, parameters), gradients(by_hand, parameters), strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-10)


def test_full_depth_teaches_as_the_last_layer_where_no_exit_was_drawn(small_model: SmallModel) -> None:
    model, batch = small_model(streams="decomposed"), batch_of()
    last, full = (Recipe(self_distillation=2.0, teacher=own) for own in ("last_layer", "full_depth"))
    assert batch_loss(model, [batch], last, draws()).loss == batch_loss(model, [batch], full, draws()).loss


def taught_by_hand(model: MueModel, batch: Batch, seed: int) -> tuple[Tensor, list[Tensor]]:
    """Return what the last layer makes of memory at full depth, and each layer of memory that exits have touched."""
    drawn = draws(seed)
    torch.rand((), generator=drawn)  # whether streams exit at all
    shallow = exits_drawn_by(model, batch, drawn, PUBLISHED)
    full, scored = encode_batch(model, model.normalise(batch.pixels), batch.prompts), batch.targets != IGNORED
    teacher, said = (
        [model.logits(state[scored]).softmax(-1) for state in decode_batch(model, encoded, batch.inputs)]
        for encoded in (full, shallow)
    )
    return teacher[-1].detach(), said


def gradients(loss: Tensor, parameters: list[torch.nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(own) if grad is None else grad for own, grad in zip(parameters, found, strict=True)]
