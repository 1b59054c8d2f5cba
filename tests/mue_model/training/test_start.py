from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mue_model.config import GenerationConfig, ModelConfig
from mue_model.model_folder import ModelFacts, read_model_folder
from mue_model.processor import Processor
from mue_model.seeded import seeded_facts
from mue_model.training.examples import Example
from mue_model.training.export import write_model_folder
from mue_model.training.initialise import fresh_model
from mue_model.training.recipe import Recipe
from mue_model.training.settings import TrainingConfig, TrainingError
from mue_model.training.start import Start, start_fresh, start_from
from mue_model.training.trainer import Trainer

WORDS = ["red", "green", "picture"]


@pytest.fixture
def joint_folder(tmp_path: Path, toy_config: Callable[..., ModelConfig], processor: Processor) -> ModelFacts:
    """A model folder as `mue model convert` leaves one of plain OFA."""
    model = fresh_model(toy_config(streams="joint"), seed=4)
    write_model_folder(model, processor, GenerationConfig(), tmp_path / "joint", lambda _: "card")
    return read_model_folder(tmp_path / "joint")


def test_new_weights_follow_from_size_words_and_seed() -> None:
    start = start_fresh("tiny", WORDS, streams="joint", seed=3)
    again = start_fresh("tiny", WORDS, streams="joint", seed=3)
    assert start.model.config.streams == "joint"
    assert start.model.config.vocab_size == start.processor.tokenizer.vocab_size
    assert start.processor.image_size == 64
    assert start.origin == again.origin
    assert all(torch.equal(a, b) for a, b in zip(start.model.parameters(), again.model.parameters(), strict=True))


def test_trained_weights_bring_their_own_vocabulary_and_image_size(joint_folder: ModelFacts) -> None:
    start = start_from(joint_folder, streams=None)
    assert start.processor == joint_folder.processor
    assert start.model.config == joint_folder.config
    assert start.notes == ()
    assert start.origin["weights"] == joint_folder.digest
    assert {parameter.dtype for parameter in start.model.parameters()} == {torch.float32}


def test_a_change_of_streams_is_put_on_record(joint_folder: ModelFacts) -> None:
    start = start_from(joint_folder, streams="decomposed")
    assert start.model.config.streams == "decomposed"
    assert "streams changed from joint to decomposed" in start.notes[0]
    assert start.origin["streams"] == "joint"


def test_a_joint_checkpoint_is_fine_tuned_to_decomposed_streams(
    joint_folder: ModelFacts, examples: list[Example], tmp_path: Path
) -> None:
    def fine_tune(start: Start) -> list[float]:
        recipe = Recipe(learning_rate=3e-3, batch_rows=8, entailment_batch_rows=8, warmup_steps=2)
        config = TrainingConfig(steps=25, report_every=5)
        trainer = Trainer(start.model, start.processor, examples, recipe, config, tmp_path / "run")
        before = {name: weight.clone() for name, weight in start.model.named_parameters()}
        trainer.run()
        moved = [name for name, weight in start.model.named_parameters() if not torch.equal(weight, before[name])]
        never_used = {"decoder.code_layernorm_embedding", "decoder.embed_image_positions", "decoder.image_pos_ln"}
        still = {name for name in before if name not in moved and "decoder.image_rel_pos" not in name}
        assert {name.rpartition(".")[0] for name in still} <= never_used
        return [line["loss"] for line in trainer.metrics.read()]

    losses = fine_tune(start_from(joint_folder, streams="decomposed"))
    assert losses[-1] < losses[0] * 0.8


def test_training_leaves_the_folder_it_came_from_alone(
    joint_folder: ModelFacts, examples: list[Example], tmp_path: Path
) -> None:
    start = start_from(joint_folder, streams=None)
    config = TrainingConfig(steps=1)
    Trainer(start.model, start.processor, examples, Recipe(batch_rows=2), config, tmp_path / "run").run()
    assert read_model_folder(joint_folder.name).digest == joint_folder.digest


def test_the_untrained_model_is_no_start() -> None:
    with pytest.raises(TrainingError, match="never trained"):
        start_from(seeded_facts(), streams=None)
