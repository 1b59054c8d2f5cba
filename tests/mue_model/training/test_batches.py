from __future__ import annotations

import numpy as np
import pytest
import torch

from mue_model.candidates import targets_of
from mue_model.processor import Processor
from mue_model.prompts import ENTAILMENT_ANSWERS, entailment_prompt
from mue_model.rows import Candidate
from mue_model.tokenizer import BOS, EOS, PAD
from mue_model.training.batches import IGNORED, BatchSource, caption_batch, entailment_batch
from mue_model.training.examples import Example
from mue_model.training.recipe import Recipe
from mue_model.training.settings import TrainingError


def test_every_token_of_a_caption_and_its_end_is_scored(examples: list[Example], processor: Processor) -> None:
    batch = caption_batch(examples[:2], [0, 1], processor)
    encode = processor.tokenizer.encode
    texts = [encode(" a red picture"), encode(" green and green all over")]
    assert len(texts[0]) < len(texts[1])
    for row, ids in enumerate(texts):
        scored = len(ids) - 1
        assert batch.inputs[row].tolist() == [*ids[:-1], *[PAD] * (len(texts[1]) - len(ids))]
        assert batch.targets[row].tolist() == [*ids[1:], *[IGNORED] * (len(texts[1]) - len(ids))]
        assert batch.targets[row, scored - 1] == EOS
    assert {tuple(row) for row in batch.prompts.tolist()} == {processor.prompt_ids("caption")}
    assert torch.equal(batch.pixels[1], torch.from_numpy(examples[1].pixels))


def test_choices_wrap_around_the_captions(examples: list[Example], processor: Processor) -> None:
    batches = [caption_batch([examples[1]], [choice], processor) for choice in (0, 1, 2)]
    assert torch.equal(batches[0].targets, batches[2].targets)
    assert not torch.equal(batches[0].targets, batches[1].targets)


def test_of_entailment_only_answer_and_end_are_scored_where_inference_scores_them(
    examples: list[Example], processor: Processor
) -> None:
    encode = processor.tokenizer.encode
    batch = entailment_batch(examples[:3], [0, 1, 2], processor)
    for row, (hypothesis, label) in enumerate(example.hypotheses[row] for row, example in enumerate(examples[:3])):
        prompt = encode(entailment_prompt(hypothesis))
        candidate = Candidate(label=label, ids=encode(ENTAILMENT_ANSWERS[label])[1:])
        asked = torch.tensor(targets_of(prompt, [candidate]).ids)
        positions = list(range(len(prompt) - 2, len(asked)))
        assert (batch.targets[row] != IGNORED).nonzero().flatten().tolist() == positions
        assert tuple(batch.targets[row, positions].tolist()) == candidate.ids
        assert torch.equal(batch.inputs[row, : len(asked)], asked)
        assert batch.inputs[row, len(asked) :].tolist() == [PAD] * (batch.inputs.shape[1] - len(asked))
        assert batch.prompts[row, : len(prompt)].tolist() == list(prompt)
    assert batch.inputs[0, 0] == BOS
    assert len({len(encode(entailment_prompt(e.hypotheses[n][0]))) for n, e in enumerate(examples[:3])}) > 1


def test_the_recipe_sets_share_and_size_of_tasks(examples: list[Example], processor: Processor) -> None:
    recipe = Recipe(entailment_share=0.25, batch_rows=3, entailment_batch_rows=5)
    source = BatchSource(examples, processor, recipe)
    batches = [batch for seed in range(200) for batch in source.draw(np.random.default_rng(seed))]
    sizes = {(batch.task, len(batch.pixels)) for batch in batches}
    assert sizes == {("caption", 3), ("entailment", 5)}
    assert 0.15 < np.mean([batch.task == "entailment" for batch in batches]) < 0.35


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_is_drawn_depends_on_the_generator_alone(
    examples: list[Example], processor: Processor, share: float
) -> None:
    source = BatchSource(examples, processor, Recipe(entailment_share=share, batch_rows=4))
    [first], [again], [other] = (source.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.targets, again.targets)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)


def test_a_pair_is_about_the_same_images(examples: list[Example], processor: Processor) -> None:
    asked = [example for example in examples if example.hypotheses]
    caption, entailment = BatchSource(asked, processor, Recipe(paired=True, batch_rows=5)).draw(
        np.random.default_rng(0)
    )
    assert (caption.task, entailment.task) == ("caption", "entailment")
    assert torch.equal(caption.pixels, entailment.pixels)
    assert len(caption.inputs) == len(entailment.inputs) == 5


def test_a_pair_may_hold_several_hypotheses_of_each_image(processor: Processor) -> None:
    hypotheses = tuple(
        (f"it is {word}", label) for word, label in zip("abcdef", ("entailment", "neutral") * 3, strict=True)
    )
    examples = [Example(np.full((32, 32, 3), level, np.uint8), ("a picture",), hypotheses, level) for level in (1, 2)]
    source = BatchSource(examples, processor, Recipe(paired=True, batch_rows=5, hypotheses=4))
    caption, entailment = source.draw(np.random.default_rng(0))
    assert (len(caption.inputs), len(entailment.inputs)) == (5, 20)
    assert torch.equal(entailment.pixels, caption.pixels.repeat_interleave(4, 0))
    assert torch.equal(entailment.levels, caption.levels.repeat_interleave(4))
    for image in range(5):
        asked = {tuple(row.tolist()) for row in entailment.inputs[4 * image : 4 * image + 4]}
        assert len(asked) == 4, "one hypothesis comes twice before the others have come"


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_the_recipe_sets_the_share_of_neutral_hypotheses(processor: Processor, share: float, expected: float) -> None:
    labels = ("entailment", "contradiction", "neutral", "neutral", "neutral", "contradiction")
    hypotheses = tuple((f"it is {word}", label) for word, label in zip("abcdef", labels, strict=True))
    example = Example(np.zeros((32, 32, 3), np.uint8), ("a picture",), hypotheses, 1)
    recipe = Recipe(paired=True, batch_rows=300, hypotheses=2, neutral_share=share)
    _, batch = BatchSource([example], processor, recipe).draw(np.random.default_rng(0))
    [maybe] = {ids[0] for ids in [processor.tokenizer.encode(ENTAILMENT_ANSWERS["neutral"])[1:]]}
    neutral = (batch.targets == maybe).any(dim=1).float().mean()
    assert abs(float(neutral) - expected) < 0.06


def test_statements_are_the_words_of_what_is_entailed(examples: list[Example], processor: Processor) -> None:
    batch = entailment_batch(examples[:3], [0, 1, 2], processor)
    assert batch.statements is not None
    assert batch.statements.shape == batch.targets.shape
    seen = set()
    for row, (hypothesis, label) in enumerate(example.hypotheses[row] for row, example in enumerate(examples[:3])):
        words = processor.tokenizer.encode(entailment_prompt(hypothesis))[1:-1]
        said = tuple(batch.statements[row][batch.statements[row] != IGNORED].tolist())
        assert said == (words if label == "entailment" else ())
        assert tuple(batch.inputs[row, : len(words)].tolist()) == (BOS, *words[:-1])
        seen.add(label)
    assert "entailment" in seen
    assert len(seen) > 1


def test_a_pair_needs_a_hypothesis_of_every_row(examples: list[Example], processor: Processor) -> None:
    with pytest.raises(TrainingError, match=r"8 rows have no hypotheses .*recipe.paired=false"):
        BatchSource(examples, processor, Recipe(paired=True))


def test_a_curriculum_lets_harder_levels_join_one_after_another(examples: list[Example], processor: Processor) -> None:
    """Level 1 says one word of colour, level 2 two, so that captions tell the levels apart."""
    source = BatchSource(examples, processor, Recipe(curriculum=0.5, entailment_share=0, batch_rows=40))
    shares = []
    for along in (0.0, 0.24, 0.25, 0.5, 1.0):
        [batch] = source.draw(np.random.default_rng(1), along)
        texts = [processor.tokenizer.decode(tuple(row.tolist())) for row in batch.inputs]
        shares.append(np.mean(["all over" in text for text in texts]))
    assert shares[:2] == [0, 0]
    assert all(0.2 < share < 0.8 for share in shares[2:])
    [whole], [held_back] = (
        BatchSource(examples, processor, Recipe(curriculum=share, entailment_share=0)).draw(np.random.default_rng(1))
        for share in (0.0, 0.5)
    )
    assert torch.equal(whole.inputs, held_back.inputs), "afterwards nothing is held back"


def test_captions_that_are_no_paraphrase_are_the_first(examples: list[Example], processor: Processor) -> None:
    """Of level 2 the first caption has one colour, its paraphrase two."""
    pairs = [example for example in examples if len(example.captions) == 2]
    shares = []
    for share in (0.0, 0.5, 1.0):
        recipe = Recipe(paraphrase_share=share, entailment_share=0, batch_rows=400)
        [batch] = BatchSource(pairs, processor, recipe).draw(np.random.default_rng(0))
        texts = [processor.tokenizer.decode(tuple(row.tolist())) for row in batch.inputs]
        shares.append(np.mean([" and " in text for text in texts]))
    assert shares[0] == 0
    assert 0.2 < shares[1] < 0.3
    assert 0.45 < shares[2] < 0.55
