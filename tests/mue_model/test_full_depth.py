"""Padded batches at full depth against each row alone, for both kinds of streams."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mue_model import full_depth
from mue_model.candidates import targets_of
from mue_model.exits import NeverExit
from mue_model.reference import decode_sequence, encode
from mue_model.rows import Candidate

PROMPTS = [[0, 5, 6, 7, 8, 2], [0, 9, 2], [0, 4, 4, 11, 2]]
PAD = 1
both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])


def padded_ids() -> Tensor:
    longest = max(len(prompt) for prompt in PROMPTS)
    return torch.tensor([prompt + [PAD] * (longest - len(prompt)) for prompt in PROMPTS])


def images(height: int = 32, width: int = 48) -> Tensor:
    return torch.randn(3, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@both_streams
@pytest.mark.parametrize("grid", [(2, 3), (4, 1)])
def test_each_row_of_a_padded_batch_is_the_row_alone(small_model: Any, streams: str, grid: tuple[int, int]) -> None:
    model, pixels, ids = small_model(streams=streams), images(16 * grid[0], 16 * grid[1]), padded_ids()
    encoded = full_depth.encode_batch(model, pixels, ids)
    target = torch.tensor([[0, 7, 9, 12]] * 3)
    states = full_depth.decode_batch(model, encoded, target)
    for row, prompt in enumerate(PROMPTS):
        alone = encode(model, pixels[row : row + 1], torch.tensor([prompt]), NeverExit())
        kept = ~encoded.padding[row]
        assert int(kept.sum()) == grid[0] * grid[1] + len(prompt)
        torch.testing.assert_close(encoded.memory[row, kept], alone.memory[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(encoded.positions[: len(alone.positions)], alone.positions, rtol=0, atol=0)
        targets = targets_of((*target[row].tolist(), 2), [Candidate(label="", ids=(2,))])
        own_states, _ = decode_sequence(model, alone, targets, NeverExit())
        for ours, own in zip(states, own_states, strict=True):
            torch.testing.assert_close(ours[row], own[0], rtol=0, atol=1e-12)


def test_decomposed_streams_do_not_see_each_other(small_model: Any) -> None:
    ids, other = padded_ids(), torch.where(padded_ids() > 3, padded_ids() + 1, padded_ids())
    for streams, independent in [("decomposed", True), ("joint", False)]:
        model = small_model(streams=streams)
        memory = full_depth.encode_batch(model, images(), ids).memory
        other_text = full_depth.encode_batch(model, images(), other).memory
        other_image = full_depth.encode_batch(model, images().flip(0), ids).memory
        assert torch.equal(memory[:, :6], other_text[:, :6]) is independent
        assert torch.equal(memory[:, 6:], other_image[:, 6:]) is independent


@both_streams
def test_text_only(small_model: Any, streams: str) -> None:
    model = small_model(streams=streams)
    encoded = full_depth.encode_batch(model, None, padded_ids())
    assert len(encoded.states) == model.config.encoder_layers + 1
    alone = full_depth.encode_batch(model, None, torch.tensor([PROMPTS[1]]))
    torch.testing.assert_close(encoded.memory[1, :3], alone.memory[0], rtol=0, atol=1e-12)
    assert torch.equal(encoded.padding, padded_ids() == PAD)


@both_streams
def test_half_precision_runs(small_model: Any, streams: str) -> None:
    model = small_model(dtype="bfloat16", streams=streams)
    encoded = full_depth.encode_batch(model, images().bfloat16(), padded_ids())
    states = full_depth.decode_batch(model, encoded, torch.tensor([[0, 7]] * 3))
    assert {state.dtype for state in [*encoded.states, encoded.memory, *states]} == {torch.bfloat16}
    assert all(state.isfinite().all() for state in states)
