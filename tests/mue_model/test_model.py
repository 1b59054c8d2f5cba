"""The model's pieces: published sizes and names, positions that depend on nothing else, the image quirk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from mue_model.config import Quirks
from mue_model.model import parameter_shapes

STATISTICS = ("running_mean", "running_var")


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("tiny", 33_488_336),
        ("medium", 92_892_000),
        ("base", 182_238_536),
        ("large", 472_977_152),
        ("huge", 929_486_848),
    ],
)
def test_published_sizes_have_the_published_number_of_parameters(ofa_config: Any, size: str, parameters: int) -> None:
    shapes = parameter_shapes(ofa_config(size))
    assert sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(STATISTICS)) == parameters


def test_names_are_those_of_published_checkpoints(ofa_config: Any) -> None:
    shapes = parameter_shapes(ofa_config("base"))
    assert shapes["encoder.embed_tokens.weight"] == (59457, 768)
    assert shapes["decoder.embed_positions.weight"] == (1026, 768)
    assert shapes["encoder.embed_image_positions.weight"] == (42 * 42 + 1, 768)
    assert shapes["encoder.image_rel_pos_table_list.5.weight"] == (6892, 12)
    assert shapes["decoder.token_rel_pos_table_list.5.weight"] == (511, 12)
    assert shapes["encoder.layers.0.self_attn.c_attn"] == (12,)
    assert shapes["decoder.layers.5.cross_attn_mid_layer_norm.weight"] == (768,)
    assert shapes["encoder.embed_images.layer3.22.conv3.weight"] == (1024, 256, 1, 1)
    assert not any(name.startswith(("decoder.embed_tokens", "decoder.output_projection")) for name in shapes)


def test_pixels_are_normalised_to_minus_one_and_one(small_model: Any) -> None:
    model = small_model()
    pixels = torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)
    images = model.normalise(pixels)
    assert images.shape == (1, 3, 1, 1)
    assert images.dtype == model.dtype == torch.float64
    assert images.flatten().tolist() == pytest.approx([-1, 1, -0.6], abs=1e-12)


def test_bias_is_absolute_everywhere_and_relative_inside_each_modality(small_model: Any) -> None:
    encoder, grid, words = small_model().encoder, (2, 2), 3
    positions = torch.cat([encoder.image_positions(grid), encoder.text_positions(0, words)])
    absolute = encoder.absolute_bias(positions)
    relative = encoder.add_relative_bias(absolute, 1, grid, words) - absolute
    torch.testing.assert_close(relative[:, :4, :4], encoder.image_relative_bias(1, grid))
    torch.testing.assert_close(relative[:, 4:, 4:], encoder.token_relative_bias(1, 0, words))
    assert not relative[:, :4, 4:].any()
    assert not relative[:, 4:, :4].any()
    assert absolute[:, :4, 4:].all()


def test_the_quirk_drops_the_image_s_relative_bias_only(small_model: Any) -> None:
    encoder = small_model(quirks=Quirks(drop_image_rel_bias=True)).encoder
    absolute = encoder.absolute_bias(torch.cat([encoder.image_positions((2, 2)), encoder.text_positions(0, 3)]))
    relative = encoder.add_relative_bias(absolute, 0, (2, 2), 3) - absolute
    assert not relative[:, :4, :4].any()
    assert relative[:, 4:, 4:].any()


def test_a_bias_of_one_step_is_a_row_of_the_whole_table(small_model: Any) -> None:
    decoder = small_model().decoder
    positions = decoder.text_positions(0, 6)
    whole = decoder.self_absolute_bias(positions, positions) + decoder.token_relative_bias(2, 0, 6)
    for step in range(6):
        query, keys = decoder.text_positions(step, step + 1), decoder.text_positions(0, step + 1)
        row = decoder.self_absolute_bias(query, keys) + decoder.token_relative_bias(2, step, step + 1)
        torch.testing.assert_close(row[:, 0], whole[:, step, : step + 1])


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_every_piece_stays_in_the_model_s_dtype(small_model: Any, dtype: str) -> None:
    model = small_model(dtype=dtype)
    image = model.encoder.embed_image(model.normalise(torch.from_numpy(np.zeros((1, 32, 32, 3), np.uint8))))
    bias = model.encoder.add_relative_bias(
        model.encoder.absolute_bias(model.encoder.image_positions((2, 2))), 0, (2, 2), 0
    )
    state = model.encoder_layer(0)(image, bias)
    logits = model.logits(state)
    assert {tensor.dtype for tensor in (image, bias, state, logits)} == {getattr(torch, dtype)}
    assert logits.shape == (1, 4, model.config.vocab_size)
