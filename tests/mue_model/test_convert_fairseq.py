"""A fairseq file's sizes are read off its shapes, and its arguments must agree."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mue_model.checkpoint import name_in_fairseq
from mue_model.config import ModelConfig
from mue_model.convert_fairseq import infer_sizes, read_fairseq
from mue_model.model import parameter_shapes
from mue_model.model_folder import ModelFolderError

UNEQUAL = ModelConfig(
    vocab_size=31,
    d_model=24,
    encoder_layers=3,
    encoder_attention_heads=4,
    encoder_ffn_dim=20,
    decoder_layers=2,
    decoder_attention_heads=6,
    decoder_ffn_dim=28,
    resnet_type="resnet152",
    max_position_embeddings=17,
    token_bucket_size=9,
    image_bucket_size=3,
)


def empty(config: ModelConfig) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in parameter_shapes(config).items()}


@pytest.mark.parametrize("resnet", ["resnet50", "resnet101", "resnet152", "light"])
def test_every_size_shows_in_the_shapes(resnet: str) -> None:
    config = UNEQUAL.model_copy(update={"resnet_type": resnet})
    assert ModelConfig(**infer_sizes(empty(config), where="x")) == config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder.embed_tokens.weight": None}, r"missing tensor encoder\.embed_tokens\.weight, whose shape fixes"),
        ({"decoder.layers.0.self_attn.c_attn": None}, r"missing tensor decoder\.layers\.0\.self_attn\.c_attn"),
        ({"encoder.layers.0.fc1.bias": torch.ones(())}, r"encoder\.layers\.0\.fc1\.bias is a single number"),
        ({"encoder.embed_images.layer3.36.x": torch.ones(1)}, r"stem has 3 \+ 8 \+ 37 blocks from width 64 on"),
    ],
)
def test_a_tensor_that_shows_no_size_is_named(changes: dict[str, Tensor | None], said: str) -> None:
    tensors = {name: tensor for name, tensor in (empty(UNEQUAL) | changes).items() if tensor is not None}
    with pytest.raises(ModelFolderError, match=said):
        infer_sizes(tensors, where="x")


def write(path: Path, **content: Any) -> Path:
    config = UNEQUAL.model_copy(update={"resnet_type": "light"})
    shapes = parameter_shapes(config).items()
    model = {name_in_fairseq(name): torch.zeros(()).expand(shape) for name, shape in shapes}
    torch.save({"model": model, **content}, path)
    return path


def test_without_arguments_the_shapes_say_all(tmp_path: Path) -> None:
    published = read_fairseq(write(tmp_path / "x.pt"), "joint")
    assert published.config == UNEQUAL.model_copy(update={"resnet_type": "light"})
    assert published.notes == (
        "the file holds no arguments of its training run; all settings come from the shapes of its tensors",
    )
    assert published.name_in_file("encoder.layers.0.self_attn_mid_layer_norm.bias") == "encoder.layers.0.attn_ln.bias"


@pytest.mark.parametrize("form", ["args", "cfg as namespace", "cfg as dict"])
def test_arguments_are_found_in_files_of_every_age(tmp_path: Path, form: str) -> None:
    arguments = {"encoder_layers": 3, "decoder_ffn_embed_dim": 28, "attn_scale_factor": 4}
    content: dict[str, Any] = {
        "args": {"args": argparse.Namespace(**arguments), "cfg": None},
        "cfg as namespace": {"args": None, "cfg": {"model": argparse.Namespace(**arguments)}},
        "cfg as dict": {"cfg": argparse.Namespace(model=arguments)},
    }[form]
    published = read_fairseq(write(tmp_path / "x.pt", **content), "joint")
    assert published.config.attn_scale_factor == 4
    assert published.notes == ()
    arguments["decoder_ffn_embed_dim"] = 99
    for value in content.values():
        if isinstance(value, argparse.Namespace) and form == "args":
            value.decoder_ffn_embed_dim = 99
        elif isinstance(value, dict) and isinstance(value["model"], argparse.Namespace):
            value["model"].decoder_ffn_embed_dim = 99
    with pytest.raises(ModelFolderError, match="its arguments say decoder_ffn_embed_dim = 99, but its tensors have 28"):
        read_fairseq(write(tmp_path / "x.pt", **content), "joint")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": {}}, r"it has no entry 'model', only \['state_dict'\]"),
        ([1], "it has no entry 'model', only list"),
        ({"model": [1]}, "model holds a list"),
        ({"model": {"a": 1}}, "'a' is a int"),
        (
            {"model": {"encoder.layers.0.attn_ln.bias": 0, "encoder.layers.0.self_attn_mid_layer_norm.bias": 0}},
            r"tensor encoder\.layers\.0\.self_attn_mid_layer_norm\.bias is there twice",
        ),
    ],
)
def test_what_is_no_fairseq_checkpoint_is_named(tmp_path: Path, content: Any, said: str) -> None:
    if "twice" in said:
        content = {"model": dict.fromkeys(content["model"], torch.ones(1))}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ModelFolderError, match=said):
        read_fairseq(tmp_path / "x.pt", "joint")
