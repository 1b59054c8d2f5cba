"""The reference: full depth is teacher forcing, skipped keys and values mean what the policies say, traces count."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from mue_model import full_depth
from mue_model.candidates import targets_of
from mue_model.config import GenerationConfig, KvPolicy
from mue_model.exits import CosineExit, Depths, NeverExit, ScriptedExit
from mue_model.model import MueModel
from mue_model.reference import EncodedRow, RowDecoder, decode_row, decode_sequence, encode, run_row
from mue_model.rows import Candidate, RowInput

GENERATION = GenerationConfig(max_tokens=8)
SCRIPT = (2, 4, 1, 3, 1, 4, 2, 3)
both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])


def encode_row(model: MueModel, row: RowInput, policy: Any) -> EncodedRow:
    image = model.normalise(torch.from_numpy(row.pixels)[None])
    return encode(model, image, torch.tensor([row.prompt_ids]), policy, row.uid)


def scripted(row: RowInput, decoder: tuple[int, ...] = SCRIPT) -> ScriptedExit:
    return ScriptedExit({row.uid: Depths(2, 1, decoder)})


@both_streams
@pytest.mark.parametrize("kv_policy", ["propagate", "holes"])
def test_full_depth_step_by_step_is_teacher_forcing(
    small_model: Any, make_rows: Any, streams: str, kv_policy: KvPolicy
) -> None:
    model, (row,) = small_model(streams=streams), make_rows(1)
    image, ids = model.normalise(torch.from_numpy(row.pixels)[None]), torch.tensor([[0, 9, 5, 12, 7]])
    batch = full_depth.encode_batch(model, image, torch.tensor([row.prompt_ids]))
    expected = model.logits(full_depth.decode_batch(model, batch, ids)[-1])
    decoder = RowDecoder(model, encode_row(model, row, NeverExit()), NeverExit(), kv_policy)
    logits = torch.stack([decoder.step(token) for token in ids[0].tolist()], dim=1)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    assert (decoder.depths, decoder.checks, decoder.kv_fills) == ([4] * 5, 0, 0)


def decode_densely(model: MueModel, encoded: EncodedRow, ids: list[int], depths: tuple[int, ...]) -> list[Tensor]:
    """`propagate` restated without caches: every layer projects, for every earlier token, the state it would see."""
    decoder, entering, exits = model.decoder, [], []
    for step, token in enumerate(ids):
        states = [model.embed_target(torch.tensor([[token]]))]
        entering.append(states)  # what entered each layer; after its exit a token's state stays what it was
        positions = decoder.text_positions(0, step + 1)
        absolute = decoder.self_absolute_bias(positions[-1:], positions)
        cross_bias = decoder.cross_bias(positions[-1:], decoder.cross_pos_k_linear(encoded.positions))
        for layer in range(depths[step]):
            module = model.decoder_layer(layer)
            seen = torch.cat([earlier[min(layer, len(earlier) - 1)] for earlier in entering], dim=1)
            bias = absolute + decoder.token_relative_bias(layer, step, step + 1)
            cross = module.cross_keys_values(encoded.memory)
            over = module.over(module.self_keys_values(seen), bias, cross, cross_bias)
            states.append(module(states[-1], *over))
        exits.append(states[-1])
    return exits


def test_propagate_gives_skipped_layers_the_exit_state(small_model: Any, make_rows: Any) -> None:
    model, (row,) = small_model(), make_rows(1)
    encoded = encode_row(model, row, scripted(row))
    decoder = RowDecoder(model, encoded, scripted(row), "propagate", row.uid)
    ids = [0, 9, 5, 12, 7, 7, 3, 18]
    for token in ids:
        decoder.step(token)
    assert decoder.depths == list(SCRIPT)
    for ours, expected in zip(decoder.exit_states, decode_densely(model, encoded, ids, SCRIPT), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_holes_keep_only_what_ran(small_model: Any, make_rows: Any) -> None:
    model, (row,) = small_model(), make_rows(1)
    logits = {}
    for kv_policy in ("propagate", "holes"):
        decoder = RowDecoder(model, encode_row(model, row, NeverExit()), scripted(row), kv_policy, row.uid)
        logits[kv_policy] = [decoder.step(token) for token in (0, 9, 5, 12)]
        lengths = [cache.length for cache in decoder.caches]
        assert lengths == ([4, 4, 4, 2] if kv_policy == "propagate" else [4, 3, 2, 1])
        assert decoder.kv_fills == (4 if kv_policy == "propagate" else 0)
    same = [torch.equal(a, b) for a, b in zip(logits["propagate"], logits["holes"], strict=True)]
    assert same == [True, False, True, False]


@both_streams
def test_the_trace_counts_what_the_script_made_it_do(small_model: Any, make_rows: Any, streams: str) -> None:
    model, (row,) = small_model(streams=streams), make_rows(1, grid=(1, 3))
    result = run_row(model, row, scripted(row), GENERATION)
    trace, steps = result.trace, len(result.tokens)
    assert trace is not None
    assert steps > 3
    assert (trace.grid, trace.prompt_tokens) == ((1, 3), 4)
    assert (trace.image, trace.text) == ((2, 2) if streams == "joint" else (2, 1))
    assert trace.decoder == SCRIPT[:steps]
    assert trace.checks == (2, 0 if streams == "joint" else 1, sum(min(depth, 3) for depth in SCRIPT[:steps]))
    needed = [max(s for s, depth in enumerate(SCRIPT[:steps]) if depth > layer) for layer in range(4)]
    filled = sum(SCRIPT[s] <= layer for layer in range(4) for s in range(needed[layer]))
    assert trace.kv_fills == filled > 0
    assert trace.cross_kv_layers == 4
    assert (result.text, result.label, result.error) == (None, None, None)


def test_texts_stop_at_the_end_token_or_at_the_limit(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(12)
    results = [run_row(model, row, NeverExit(), GENERATION) for row in rows]
    for result in results:
        ends = [token == model.config.eos_token_id for token in result.tokens]
        assert not any(ends[:-1])
        assert result.finish_reason == ("stop" if ends[-1] else "length")
        assert len(result.tokens) == 8 or ends[-1]
    assert {result.finish_reason for result in results} == {"stop", "length"}
    one = run_row(model, rows[0], NeverExit(), GenerationConfig(max_tokens=1))
    assert one.tokens == results[0].tokens[:1]


def test_one_token_never_reads_a_layer_it_does_not_reach(small_model: Any, make_rows: Any) -> None:
    model, (row,) = small_model(), make_rows(1)
    policy = scripted(row, decoder=(1, 2))
    encoded = encode_row(model, row, policy)
    decoder = RowDecoder(model, encoded, policy, "propagate", row.uid)
    for token in (0, 4, 5):
        decoder.step(token)
    assert [cache.cross is not None for cache in decoder.caches] == [True, True, False, False]
    assert decode_row(model, encoded, policy, GENERATION, "propagate", row.uid).trace.cross_kv_layers == 2


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_sequence_takes_one_decision_for_all_its_positions(small_model: Any, make_rows: Any, dtype: str) -> None:
    model, (row,) = small_model(dtype=dtype), make_rows(1)
    targets = targets_of((0, 9, 5, 12, 2), [Candidate(label="", ids=(2,))])
    encoded = encode_row(model, row, NeverExit())
    full, layers_run = decode_sequence(model, encoded, targets, NeverExit())
    assert layers_run == len(full) == 4
    similarity = [torch.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0) for a, b in pairwise(full)]
    threshold = float(similarity[1]) - 1e-3
    states, layers_run = decode_sequence(model, encoded, targets, CosineExit({"decoder": [2, 2, threshold, 2]}))
    assert layers_run == len(states) == 3
    assert all(torch.equal(ours, one) for ours, one in zip(states, full, strict=False))


@both_streams
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_row_runs_in_every_dtype(small_model: Any, make_rows: Any, streams: str, dtype: str) -> None:
    model, (row,) = small_model(dtype=dtype, streams=streams), make_rows(1)
    result = run_row(model, row, scripted(row), GENERATION)
    assert result.trace is not None
    assert result.trace.decoder == SCRIPT[: len(result.tokens)]
