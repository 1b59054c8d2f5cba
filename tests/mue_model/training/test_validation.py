from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mue_model.config import ModelConfig
from mue_model.full_depth import decode_batch, encode_batch
from mue_model.model import MueModel
from mue_model.processor import Processor
from mue_model.training import validation
from mue_model.training.batches import IGNORED, make_batch
from mue_model.training.examples import Example
from mue_model.training.initialise import fresh_model
from mue_model.training.validation import Validator


@pytest.fixture
def model(toy_config: Callable[..., ModelConfig]) -> MueModel:
    return fresh_model(toy_config(), seed=0)


def by_hand(model: MueModel, examples: list[Example], processor: Processor, task: str) -> dict[str, np.ndarray]:
    """Row by row, in evaluation mode; [tokens, loss, right, all right] by layer and row."""
    model.eval()
    rows = []
    for number, example in enumerate(examples):
        if task == "entailment" and not example.hypotheses:
            continue
        batch = make_batch(task, [example], [number], processor)  # type: ignore[arg-type]
        with torch.no_grad():
            encoded = encode_batch(model, model.normalise(batch.pixels), batch.prompts)
            states = decode_batch(model, encoded, batch.inputs)
            scored = batch.targets[0] != IGNORED
            targets = batch.targets[0, scored]
            layers = []
            for state in states:
                log_p = model.logits(state)[0, scored].log_softmax(-1)
                right = log_p.argmax(-1) == targets
                loss = -log_p[torch.arange(len(targets)), targets].sum()
                layers.append([len(targets), float(loss), int(right.sum()), float(right.all())])
        rows.append(layers)
    found = np.array(rows)
    return {
        "cross_entropy": found[:, :, 1].sum(0) / found[:, 0, 0].sum(),
        "token_accuracy": found[:, :, 2].sum(0) / found[:, 0, 0].sum(),
        "row_accuracy": found[:, :, 3].mean(0),
    }


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_scores_are_those_of_each_row_alone(
    model: MueModel, examples: list[Example], processor: Processor, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "BATCH_ROWS", 4)
    chosen = examples[:11]
    found = Validator(chosen, processor).validate(model, 7)
    for name, expected in by_hand(model, chosen, processor, task).items():
        assert getattr(found.tasks[task], name) == pytest.approx(expected, abs=1e-5)
        for level in ("1", "2"):
            its = [example for example in chosen if str(example.level) == level]
            assert found.by_level[task][level].rows == sum(task == "caption" or bool(e.hypotheses) for e in its)
    assert found.tasks["caption"].rows == 11
    assert found.tasks["entailment"].rows == 9


def test_levels_make_up_the_whole(model: MueModel, examples: list[Example], processor: Processor) -> None:
    found = Validator(examples, processor).validate(model, 1)
    for task, scores in found.tasks.items():
        levels = list(found.by_level[task].values())
        assert sum(level.rows for level in levels) == scores.rows
        mean = sum(np.array(level.row_accuracy) * level.rows for level in levels) / scores.rows
        assert mean == pytest.approx(scores.row_accuracy)


def test_the_model_is_left_as_it_was(model: MueModel, examples: list[Example], processor: Processor) -> None:
    model.train()
    model.encoder.embed_images.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    validator = Validator(examples, processor)
    first, second = (validator.validate(model, 1).document() for _ in range(2))
    assert first == second
    assert model.training
    assert not model.encoder.embed_images.bn1.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_captions_alone_have_no_entailment(model: MueModel, examples: list[Example], processor: Processor) -> None:
    bare = [Example(example.pixels, example.captions, (), 1) for example in examples[:3]]
    assert Validator(bare, processor).validate(model, 1).tasks.keys() == {"caption"}


def test_half_precision_is_close(model: MueModel, examples: list[Example], processor: Processor) -> None:
    validator = Validator(examples[:5], processor)
    whole, half = (validator.validate(model, 1, half=half).tasks["caption"].cross_entropy for half in (False, True))
    assert half == pytest.approx(whole, rel=0.02)
    assert half != whole
