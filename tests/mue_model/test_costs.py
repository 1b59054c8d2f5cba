"""Analytic FLOPs against torch's counter: whole rows, every region alone, the published sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model import costs
from mue_model.checkpoint import build_model
from mue_model.config import GenerationConfig, KvPolicy, ModelConfig
from mue_model.exits import Depths, NeverExit, ScriptedExit
from mue_model.layers import attend, attend_fused
from mue_model.model import MueModel, parameter_shapes
from mue_model.reference import run_row
from mue_model.rows import ExitTrace

GENERATION = GenerationConfig(max_tokens=6)
both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])


def trace_of(config: ModelConfig, image: int, text: int, decoder: Sequence[int], kv_policy: KvPolicy) -> ExitTrace:
    """The trace that such depths leave; skipped positions below the last use of a layer are filled."""
    last_use = [max((step for step, d in enumerate(decoder) if d > layer), default=0) for layer in range(max(decoder))]
    fills = sum(decoder[step] <= layer for layer, last in enumerate(last_use) for step in range(last))
    return ExitTrace(
        grid=(3, 2),
        prompt_tokens=4,
        image=image,
        text=image if config.streams == "joint" else text,
        decoder=tuple(decoder),
        checks=(0, 0, 0),
        kv_fills=fills if kv_policy != "holes" else 0,
        cross_kv_layers=max(decoder),
        kv_policy=kv_policy,
    )


@both_streams
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kv_policy", ["propagate", "just_in_time", "holes"])
@pytest.mark.parametrize("grid", [(2, 2), (1, 4), (3, 2)])
def test_a_row_costs_what_the_counter_sees(
    small_model: Any,
    make_rows: Any,
    random_script: Any,
    counted: Any,
    streams: str,
    kv_policy: KvPolicy,
    grid: Any,
    beams: int,
) -> None:
    model, rows = small_model(streams=streams), make_rows(2, grid=grid, prefix=f"{streams}-{kv_policy}")
    policy, generation = random_script(model, rows), GENERATION.model_copy(update={"beams": beams})
    for row in rows:
        result, seen = counted(lambda row=row: run_row(model, row, policy, generation, kv_policy))
        flops = costs.row_flops(model.config, result.trace)
        assert flops.executed == flops.regions.total() == seen
        depths = (result.trace.image, result.trace.text, result.trace.decoder)
        assert (
            replace(trace_of(model.config, *depths, kv_policy), grid=grid, checks=result.trace.checks, beams=beams)
            == result.trace
        )


@both_streams
def test_full_depth_at_the_same_length_is_what_a_full_run_costs(
    small_model: Any, make_rows: Any, counted: Any, streams: str
) -> None:
    model = small_model(streams=streams)
    policy = ScriptedExit({row.uid: Depths(1, 2, (1, 3, 2)) for row in make_rows(9)})
    for row in make_rows(9):
        early = run_row(model, row, policy, GENERATION)
        full, seen = counted(lambda row=row: run_row(model, row, NeverExit(), GENERATION))
        if len(early.tokens) == len(full.tokens):
            break
    else:
        pytest.fail("no row has one length at both depths")
    flops = costs.row_flops(model.config, early.trace)
    assert flops.full_same_length == seen == costs.row_flops(model.config, full.trace).executed
    assert flops.executed < seen


def test_every_region_alone(small_model: Any, counted: Any) -> None:
    model, grid, patches, prompt, steps = small_model(streams="decomposed"), (2, 3), 6, 4, 3
    config, encoder, decoder = model.config, model.encoder, model.decoder
    memory = patches + prompt
    trace = replace(trace_of(config, 2, 3, (4, 1, 4), "propagate"), grid=grid)
    regions = costs.row_flops(config, trace).regions

    def state(tokens: int) -> torch.Tensor:
        return torch.zeros(1, tokens, config.d_model, dtype=torch.float64)

    def seen(run: Any) -> int:
        return counted(run)[1]

    assert regions.stem == seen(lambda: encoder.embed_image(torch.zeros(1, 3, 32, 48, dtype=torch.float64)))
    assert regions.image_layers == 2 * seen(lambda: model.encoder_layer(0)(state(patches), torch.zeros(1)))
    assert regions.text_layers == 3 * seen(lambda: model.encoder_layer(0)(state(prompt), torch.zeros(1)))
    layer = model.decoder_layer(0)
    cross = layer.cross_keys_values(state(memory))
    assert regions.cross_kv == 4 * seen(lambda: layer.cross_keys_values(state(memory)))
    assert regions.kv_fill == 3 * seen(lambda: layer.self_keys_values(state(1)))
    assert regions.head == steps * seen(lambda: model.logits(state(1)))

    def one_layer(keys: int) -> int:
        own = layer.self_keys_values(state(keys - 1)) if keys > 1 else None

        def run() -> None:
            new = layer.self_keys_values(state(1))
            pair = tuple(torch.cat(pieces, dim=2) for pieces in zip(own, new, strict=True)) if own else new
            layer(state(1), *layer.over(pair, torch.zeros(1), cross, torch.zeros(1)))

        return seen(run)

    assert regions.decoder_layers == 4 * one_layer(1) + one_layer(2) + 4 * one_layer(3)

    def positions() -> None:
        image, text = encoder.image_positions(grid), encoder.text_positions(0, prompt)
        encoder.absolute_bias(image)
        encoder.absolute_bias(text)
        memory_keys, keys = decoder.cross_pos_k_linear(torch.cat([image, text])), []
        for step in range(steps):
            query = decoder.text_positions(step, step + 1)
            keys.append(decoder.self_pos_k_linear(query))
            decoder.self_position_products(query, torch.cat(keys))
            decoder.cross_bias(query, memory_keys)

    assert regions.positions == seen(positions)


def test_attention_is_counted(small_model: Any, counted: Any) -> None:
    model = small_model()
    width, tokens = model.config.d_model, 10
    q = torch.zeros(1, 2, tokens, width // 2)
    assert counted(lambda: attend(q, q, q, torch.zeros(1)))[1] == 4 * tokens**2 * width
    assert model.encoder_layer(0).self_attn.kernel is attend, f"{attend_fused.__name__} is not counted on every device"
    once, twice = (costs.encoder_layer_flops(model.config, n * tokens) for n in (1, 2))
    assert twice - 2 * once == 8 * tokens**2 * width


def test_checks_cost_six_flops_per_value_and_are_not_executed(small_config: Any) -> None:
    for streams, tokens in [("decomposed", 6), ("joint", 10)]:
        config = small_config(streams=streams)
        trace = trace_of(config, 2, 2, (2, 2), "propagate")
        checked = replace(trace, checks=(2, 1, 3))
        assert costs.check_flops(config, checked) == 6 * config.d_model * (2 * tokens + 1 * 4 + 3)
        assert costs.row_flops(config, checked).executed == costs.row_flops(config, trace).executed
        assert costs.row_flops(config, trace).checks == 0


DEPTHS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(1, 4), min_size=1, max_size=8))


@settings(deadline=None, max_examples=200)
@given(
    depths=DEPTHS,
    streams=st.sampled_from(["joint", "decomposed"]),
    kv_policy=st.sampled_from(["propagate", "just_in_time", "holes"]),
    where=st.integers(0, 20),
)
def test_deeper_is_never_cheaper(small_config: Any, depths: Any, streams: Any, kv_policy: Any, where: int) -> None:
    config = small_config(streams=streams)
    image, text, decoder = depths
    step = where % len(decoder)
    deeper = [depth + (index == step and depth < 4) for index, depth in enumerate(decoder)]
    flops = costs.row_flops(config, trace_of(config, image, text, decoder, kv_policy))
    others = [(min(3, image + 1), text, decoder), (image, min(3, text + 1), decoder), (image, text, deeper)]
    for other in others:
        assert costs.row_flops(config, trace_of(config, *other, kv_policy)).executed >= flops.executed
    assert flops.executed <= flops.full_same_length
    assert flops.kv_fill == flops.regions.kv_fill <= flops.executed
    numbers = [getattr(flops, field.name) for field in fields(flops) if field.name != "regions"]
    assert all(type(number) is int and number >= 0 for number in [*numbers, *astuple(flops.regions)])


def weightless(config: ModelConfig) -> MueModel:
    """A model of zeros: the weights cost no memory until they are written, and nothing becomes NaN."""
    return build_model(config, {name: torch.zeros(shape) for name, shape in parameter_shapes(config).items()})


@pytest.mark.parametrize("size", ["tiny", "medium", "base", "large", pytest.param("huge", marks=pytest.mark.slow)])
@both_streams
def test_published_sizes(ofa_config: Any, make_rows: Any, counted: Any, size: str, streams: str) -> None:
    config = ofa_config(size, streams=streams)
    model, (row,) = weightless(config), make_rows(1, grid=(4, 3))
    policy = ScriptedExit({row.uid: Depths(config.encoder_layers - 1, 2, (2, config.decoder_layers))})
    result, seen = counted(lambda: run_row(model, row, policy, GenerationConfig(max_tokens=2)))
    assert result.trace.decoder == (2, config.decoder_layers)
    assert costs.row_flops(config, result.trace).executed == seen


def test_ofa_base_at_480_px_in_the_numbers_of_the_design(ofa_config: Any) -> None:
    config = ofa_config("base", streams="decomposed")
    patches, prompt, beams, steps = 900, 8, 5, 12
    trace = replace(trace_of(config, 6, 6, (6,) * steps, "propagate"), grid=(30, 30), prompt_tokens=prompt)
    regions = costs.row_flops(config, trace).regions
    image_proj = 2 * patches * config.stem_channels * config.d_model
    flops = {
        "stem": regions.stem - image_proj,
        "image layer": regions.image_layers / 6,
        "text layer": regions.text_layers / 6,
        "cross-attention keys and values, one layer": regions.cross_kv / 6,
        "decoder layer-step": beams * regions.decoder_layers / 6 / steps,
        "vocabulary step": beams * regions.head / steps,
    }
    assert {part: float(f"{value / 2e9:.3g}") for part, value in flops.items()} == {
        "stem": 32.1,
        "image layer": 7.61,
        "text layer": 0.0567,
        "cross-attention keys and values, one layer": 1.07,
        "decoder layer-step": 0.0483,
        "vocabulary step": 0.228,
    }


def test_no_image_costs_no_stem(small_config: Any) -> None:
    assert costs.stem_flops(small_config(), (0, 0)) == 0


def test_traces_of_the_oracle_fill_what_was_skipped(small_config: Any) -> None:
    trace = trace_of(small_config(), 1, 1, (2, 1, 4, 1), "propagate")
    assert (trace.kv_fills, trace.cross_kv_layers) == (5, 4)
