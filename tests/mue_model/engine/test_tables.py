"""Bias tables: what the reference computes for every layer and step; kept, dropped and paid for once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mue_model.engine.tables import KEPT_GEOMETRIES, Geometry, TableStore, build_tables, table_flops

STEPS = 5
both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])


@both_streams
def test_tables_are_the_biases_of_every_layer_and_step(small_model: Any, streams: str) -> None:
    model, geometry = small_model(streams=streams), Geometry((2, 3), 4)
    encoder, decoder = model.encoder, model.decoder
    tables = build_tables(model, geometry, STEPS)
    image, text = encoder.image_positions((2, 3)), encoder.text_positions(0, 4)
    parts = {"joint": (torch.cat([image, text]), (2, 3), 4), "image": (image, (2, 3), 0), "text": (text, None, 4)}
    for name, (positions, grid, words) in parts.items():
        built = getattr(tables, name)
        assert len(built) == (model.config.encoder_layers if (name == "joint") == (streams == "joint") else 0)
        for layer, bias in enumerate(built):
            torch.testing.assert_close(
                bias, encoder.add_relative_bias(encoder.absolute_bias(positions), layer, grid, words)
            )
    memory_keys = decoder.cross_pos_k_linear(torch.cat([image, text]))
    for step in range(STEPS):
        query, keys = decoder.text_positions(step, step + 1), decoder.text_positions(0, step + 1)
        torch.testing.assert_close(tables.cross_attention[:, step : step + 1], decoder.cross_bias(query, memory_keys))
        for layer, bias in enumerate(tables.self_attention):
            expected = decoder.self_absolute_bias(query, keys) + decoder.token_relative_bias(layer, step, step + 1)
            torch.testing.assert_close(bias[:, step : step + 1, : step + 1], expected)


@both_streams
def test_table_flops_are_what_building_costs(small_model: Any, counted: Any, streams: str) -> None:
    model = small_model(streams=streams)
    for geometry in [Geometry((2, 3), 4), Geometry((1, 4), 2)]:
        _, seen = counted(lambda geometry=geometry: build_tables(model, geometry, STEPS))
        assert table_flops(model.config, geometry, STEPS) == seen


def test_recent_tables_are_kept_and_built_once(small_model: Any) -> None:
    model = small_model()
    store = TableStore(model, STEPS)
    geometries = [Geometry((1, 1 + width), 2) for width in range(4)] + [
        Geometry((1, 1), words) for words in range(3, 8)
    ]
    assert len(geometries) == KEPT_GEOMETRIES + 1
    first = store.get(geometries[0])
    for geometry in geometries[1:-1]:
        store.get(geometry)
    spent = store.flops_spent
    assert store.get(geometries[0]) is first
    assert store.flops_spent == spent == sum(table_flops(model.config, g, STEPS) for g in geometries[:-1])
    store.get(geometries[-1])  # pushes out the least recently used, which is the second
    assert store.get(geometries[0]) is first
    assert store.flops_spent == spent + table_flops(model.config, geometries[-1], STEPS)
    store.get(geometries[1])
    assert store.flops_spent > spent + table_flops(model.config, geometries[-1], STEPS)
