"""Weights go into a model and onto disk unchanged, or every misfit is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mue_model.checkpoint import (
    build_model,
    check_finite,
    fairseq_name,
    load_weights,
    match_tensors,
    name_in_fairseq,
    save_weights,
)
from mue_model.config import ModelConfig
from mue_model.model import MueModel, parameter_shapes
from mue_model.model_folder import ModelFolderError

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture
def config(small_config: Callable[..., ModelConfig]) -> ModelConfig:
    return small_config()


@pytest.fixture
def tensors(small_model: Callable[..., MueModel], config: ModelConfig) -> dict[str, Tensor]:
    state = small_model(dtype="float32").state_dict()
    return {name: state[name].clone() for name in parameter_shapes(config)}


def test_fairseqs_names_are_those_of_the_published_folder() -> None:
    files = ("fairseq", "huggingface")
    theirs, ours = ([line.split()[0] for line in (GOLDEN / f"ofa_tiny_{file}.txt").open()] for file in files)
    versions = {"encoder.version", "decoder.version"}
    assert {fairseq_name(name) for name in theirs} == set(ours) | versions
    assert {name_in_fairseq(name) for name in ours} | versions == set(theirs)
    assert sum(fairseq_name(name) != name for name in theirs) == 4 * (2 + 2) + 4 * (2 * 4 + 9)


def test_ofa_tinys_published_names_and_shapes_are_the_models() -> None:
    sizes = {"vocab_size": 59_457, "d_model": 256, "resnet_type": "resnet50"}
    stacks = {"layers": 4, "attention_heads": 4, "ffn_dim": 1024}
    both = {f"{stack}_{key}": value for stack in ("encoder", "decoder") for key, value in stacks.items()}
    lines = [line.split() for line in (GOLDEN / "ofa_tiny_huggingface.txt").open()]
    published = {name: tuple(map(int, shape.split("x"))) for name, dtype, shape in lines if dtype == "float32"}
    del published["decoder.embed_tokens.weight"], published["decoder.output_projection.weight"]
    assert published == parameter_shapes(ModelConfig.model_validate(sizes | both))


def test_saving_and_loading_keeps_every_bit_and_dtype(
    tensors: dict[str, Tensor], config: ModelConfig, tmp_path: Path
) -> None:
    tensors["encoder.pos_ln.weight"] = tensors["encoder.pos_ln.weight"].half()
    tensors["encoder.pos_q_linear.weight"] = tensors["encoder.pos_q_linear.weight"].t()
    tensors["decoder.pos_ln.weight"] = tensors["decoder.pos_ln.bias"]
    save_weights(tmp_path, tensors)
    loaded = load_weights(tmp_path, config)
    assert list(loaded) == list(parameter_shapes(config))
    for name, tensor in loaded.items():
        assert tensor.dtype == tensors[name].dtype
        assert torch.equal(tensor, tensors[name])


def test_a_built_model_is_ready_to_answer(tensors: dict[str, Tensor], config: ModelConfig) -> None:
    model = build_model(config, tensors)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.encoder.embed_tokens.weight.data_ptr() == tensors["encoder.embed_tokens.weight"].data_ptr()


def test_what_follows_from_the_configuration_is_dropped(tensors: dict[str, Tensor], config: ModelConfig) -> None:
    embedding = tensors["encoder.embed_tokens.weight"]
    extra = {
        "decoder.embed_tokens.weight": embedding,
        "decoder.output_projection.weight": embedding.clone(),
        "encoder.version": torch.ones(1),
        "decoder.image_position_idx": torch.zeros(9),
        "encoder.image_rp_bucket": torch.zeros(3, 3),
        "encoder.embed_images.layer1.0.bn1.num_batches_tracked": torch.tensor(1),
    }
    assert match_tensors(config, tensors | extra, where="x").keys() == tensors.keys()


def test_a_tied_copy_must_be_equal_in_values_shape_and_dtype(tensors: dict[str, Tensor], config: ModelConfig) -> None:
    embedding = tensors["encoder.embed_tokens.weight"]
    for copy in (embedding + 1, embedding[:-1], embedding.half()):
        with pytest.raises(ModelFolderError, match=r"decoder\.embed_tokens\.weight differs from encoder\.embed_tokens"):
            match_tensors(config, {**tensors, "decoder.embed_tokens.weight": copy}, where="x")


def test_each_kind_of_misfit_is_named_and_long_lists_are_counted(
    tensors: dict[str, Tensor], config: ModelConfig
) -> None:
    tensors["encoder.layer_norm.bias"] = torch.zeros(3)
    tensors["decoder.layer_norm.bias"] = torch.zeros(16, dtype=torch.uint8)
    wrong = {f"module.{name}" if name.startswith("decoder.layers") else name: t for name, t in tensors.items()}
    with pytest.raises(ModelFolderError) as raised:
        match_tensors(config, wrong, where="FILE")
    layers = sum(name.startswith("decoder.layers") for name in tensors)
    for said in (
        "FILE does not fit its configuration: missing tensor decoder.layers.0.fc1.weight (20, 16)",
        "unexpected tensor module.decoder.layers.0.fc1.weight (20, 16)",
        f"and {layers - 8} more of this kind",
        "tensor encoder.layer_norm.bias has shape (3,), the configuration asks for (16,)",
        "tensor decoder.layer_norm.bias holds torch.uint8",
    ):
        assert said in str(raised.value)


def test_values_that_are_not_finite_are_counted(tensors: dict[str, Tensor]) -> None:
    check_finite(tensors, where="FILE")
    tensors["encoder.layer_norm.bias"][:2] = torch.tensor([torch.inf, torch.nan])
    with pytest.raises(ModelFolderError, match=r"FILE is damaged: tensor encoder\.layer_norm\.bias holds 2 values"):
        check_finite(tensors, where="FILE")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(
    kept: int, tensors: dict[str, Tensor], config: ModelConfig, tmp_path: Path
) -> None:
    save_weights(tmp_path, tensors)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFolderError, match=r"model\.safetensors cannot be read as safetensors"):
        load_weights(tmp_path, config)


def test_a_missing_tensor_of_a_model_folder_is_named(
    tensors: dict[str, Tensor], config: ModelConfig, tmp_path: Path
) -> None:
    del tensors["decoder.layers.2.self_attn.c_attn"]
    save_weights(tmp_path, tensors)
    with pytest.raises(ModelFolderError, match=r"missing tensor decoder\.layers\.2\.self_attn\.c_attn \(4,\)"):
        load_weights(tmp_path, config)
