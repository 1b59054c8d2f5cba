"""A model's name becomes a model that answers, whatever it is stored as."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from mue_model.checkpoint import save_weights
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig, ModelConfig
from mue_model.exits import CosineExit, NeverExit
from mue_model.layers import Attention, attend_fused
from mue_model.loading import build_engine, load_model, pick_device, use_kernel
from mue_model.model import parameter_shapes
from mue_model.model_folder import ModelFolderError, config_document, read_model_folder
from mue_model.processor import Processor
from mue_model.reference import run_row
from mue_model.rows import RowInput
from mue_model.seeded import seeded_array, seeded_facts
from mue_model.tokenizer import build_word_tokenizer


@pytest.fixture
def folder(tmp_path: Path, small_config: Callable[..., ModelConfig]) -> Path:
    """A model folder with weights in half precision."""
    tokenizer = build_word_tokenizer(["cat"])
    config = small_config(vocab_size=tokenizer.vocab_size)
    shapes = parameter_shapes(config).items()
    save_weights(tmp_path, {name: torch.from_numpy(seeded_array(name, shape)).half() for name, shape in shapes})
    Processor(tokenizer=tokenizer, image_size=64).save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config_document(config)), "utf-8")
    return tmp_path


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_weights_come_in_the_dtype_asked_for(folder: Path, dtype: str) -> None:
    model = load_model(read_model_folder(folder), dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    assert not model.training
    name = "encoder.layers.0.fc1.weight"
    stored = torch.from_numpy(seeded_array(name, tuple(model.state_dict()[name].shape))).half()
    assert torch.equal(model.state_dict()[name], stored.to(getattr(torch, dtype)))


def test_a_loaded_model_answers(folder: Path) -> None:
    facts = read_model_folder(folder)
    pixels = np.full((64, 64, 3), 99, np.uint8)
    row = RowInput(uid="0/0/0", pixels=pixels, prompt_ids=facts.processor.prompt_ids())
    result = run_row(load_model(facts), row, NeverExit(), GenerationConfig(max_tokens=3))
    assert 1 <= len(result.tokens) <= 3
    assert set(result.trace.decoder) == {facts.config.decoder_layers}


def test_damaged_weights_are_refused(folder: Path) -> None:
    facts = read_model_folder(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFolderError, match="cannot be read as safetensors"):
        load_model(facts)


def test_the_engine_of_a_name_answers_as_the_reference_with_a_text() -> None:
    facts = seeded_facts()
    exits, generation = facts.exits("default"), GenerationConfig(max_tokens=4)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    row = RowInput(uid="0/0/0", pixels=pixels, prompt_ids=facts.processor.prompt_ids())
    with closing(build_engine(facts, exits, generation, EngineConfig(device="cpu"))) as engine:
        answer = engine.submit([row]).result(timeout=60)[0]
    policy = CosineExit.from_config(exits, facts.config, generation.max_tokens)
    expected = run_row(load_model(facts), row, policy, generation)
    assert answer.tokens == expected.tokens
    assert answer.trace == expected.trace
    assert answer.text == facts.processor.tokenizer.decode(expected.tokens).strip()


def test_another_kernel_gives_the_same_answer(folder: Path) -> None:
    facts = read_model_folder(folder)
    plain, fused = load_model(facts, dtype="float64"), load_model(facts, dtype="float64")
    use_kernel(fused, attend_fused)
    assert {module.kernel for module in fused.modules() if isinstance(module, Attention)} == {attend_fused}
    row = RowInput(uid="0/0/0", pixels=np.full((32, 32, 3), 9, np.uint8), prompt_ids=(0, 9, 2))
    answers = [run_row(model, row, NeverExit(), GenerationConfig(max_tokens=3)) for model in (plain, fused)]
    assert answers[0].tokens == answers[1].tokens


def test_auto_takes_cuda_only_where_there_is_one() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_thresholds_that_do_not_fit_the_model_stop_before_the_engine_starts() -> None:
    with pytest.raises(ValueError, match=r"exits\.image has 2 thresholds"):
        build_engine(seeded_facts(), ExitConfig(image=(0.5, 0.6)), GenerationConfig(), EngineConfig(device="cpu"))


def test_a_text_too_long_for_the_model_stops_before_the_engine_starts() -> None:
    with pytest.raises(ValueError, match=r"generation\.max_tokens = 2000"):
        build_engine(seeded_facts(), ExitConfig(), GenerationConfig(max_tokens=2000), EngineConfig(device="cpu"))
