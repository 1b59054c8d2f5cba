from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mue_model.checkpoint import build_model, load_weights
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.exits import NeverExit
from mue_model.full_depth import decode_batch, encode_batch
from mue_model.loading import build_engine
from mue_model.model import MueModel
from mue_model.model_folder import ModelFolderError, file_digest, read_model_folder
from mue_model.processor import Processor
from mue_model.reference import run_row
from mue_model.rows import RowInput
from mue_model.training.examples import Example
from mue_model.training.export import Exported, stored_model, write_model_folder
from mue_model.training.trainer import Trainer


@pytest.fixture
def trainer(make_trainer: Callable[..., Trainer]) -> Trainer:
    recipe = {"learning_rate": 5e-3, "batch_rows": 12, "entailment_share": 0.0}
    return make_trainer(steps=40, recipe=recipe)


def logits(model: MueModel, example: Example, processor: Processor) -> torch.Tensor:
    pixels = torch.from_numpy(example.pixels)[None]
    encoded = encode_batch(model, model.normalise(pixels), torch.tensor([processor.prompt_ids("caption")]))
    return model.logits(decode_batch(model, encoded, torch.tensor([[0, 300, 301]]))[-1])


def test_the_folder_loads_and_answers_with_captions_it_was_shown(
    trainer: Trainer, processor: Processor, examples: list[Example], tmp_path: Path
) -> None:
    trainer.run()
    cards: list[Exported] = []
    own = GenerationConfig(max_tokens=7, no_repeat_ngram=0)
    exported = write_model_folder(
        trainer.model, processor, own, tmp_path / "model", lambda known: cards.append(known) or "a card"
    )
    facts = read_model_folder(tmp_path / "model")
    assert cards == [exported]
    assert facts.config == trainer.model.config
    assert facts.generation == own
    assert facts.presets == {"default": ExitConfig(), "exact": ExitConfig()}
    assert (tmp_path / "model" / "MODEL_CARD.md").read_text() == "a card"
    assert exported.weights_digest == file_digest(tmp_path / "model" / "model.safetensors")
    assert exported.parameters == sum(parameter.numel() for parameter in trainer.model.parameters())
    assert exported.weights_bytes < 2.2 * exported.parameters
    engine = build_engine(facts, facts.exits("default"), GenerationConfig(), EngineConfig(device="cpu"))
    rows = [RowInput(uid=str(n), pixels=examples[n].pixels, prompt_ids=processor.prompt_ids("caption")) for n in (0, 2)]
    answers = engine.submit(rows).result()
    stored = stored_model(trainer.model)
    assert [answer.tokens for answer in answers] == [
        run_row(stored, row, NeverExit(), GenerationConfig()).tokens for row in rows
    ]
    assert {answer.text for answer in answers} <= {caption for example in examples for caption in example.captions}


def test_what_is_scored_is_what_is_stored(
    make_trainer: Callable[..., Trainer], processor: Processor, examples: list[Example], tmp_path: Path
) -> None:
    trainer = make_trainer(steps=1)
    trainer.run()
    write_model_folder(trainer.model, processor, GenerationConfig(), tmp_path / "model", lambda _: "")
    folder = tmp_path / "model"
    config = read_model_folder(folder).config
    loaded = build_model(config, load_weights(folder, config)).float()
    stored = stored_model(trainer.model)
    assert torch.equal(logits(loaded, examples[0], processor), logits(stored, examples[0], processor))
    exact = logits(trainer.model.eval(), examples[0], processor)
    assert not torch.equal(logits(stored, examples[0], processor), exact)
    torch.testing.assert_close(logits(stored, examples[0], processor), exact.detach(), rtol=0, atol=0.02)


def test_weights_that_16_bits_cannot_hold_are_refused_and_nothing_appears(
    make_trainer: Callable[..., Trainer], processor: Processor, tmp_path: Path
) -> None:
    model = make_trainer().model
    with torch.no_grad():
        model.encoder.image_proj.bias[0] = 1e6
    with pytest.raises(ModelFolderError, match=r"encoder\.image_proj\.bias holds 1 values that are not finite"):
        write_model_folder(model, processor, GenerationConfig(), tmp_path / "model", lambda _: "")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_no_model_is_not_replaced(
    make_trainer: Callable[..., Trainer], processor: Processor, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("")
    with pytest.raises(ModelFolderError, match="no model folder"):
        write_model_folder(make_trainer().model, processor, GenerationConfig(), tmp_path / "model", lambda _: "")
