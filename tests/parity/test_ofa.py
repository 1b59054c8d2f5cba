"""OFA as published: whole batches through `full_depth`, and one row at a time through `reference`'s cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mue_model import full_depth
from mue_model.exits import NeverExit
from mue_model.reference import EncodedRow, RowDecoder, encode

Close = Callable[[Tensor, Tensor], bool]


def test_encoder_states_positions_and_output(ofa: Any, close: Close) -> None:
    encoded = full_depth.encode_batch(ofa.model, ofa.images, ofa.ids)
    assert len(encoded.states) == ofa.count(r"enc_h\d+")
    for layer, state in enumerate(encoded.states):
        assert close(state, ofa[f"enc_h{layer}"]), layer
    assert all(close(encoded.positions, row) for row in ofa["enc_pos"])
    assert torch.equal(encoded.padding, ofa["enc_padmask"])
    assert close(encoded.memory, ofa["enc"])


def test_decoder_states_and_logits(ofa: Any, close: Close) -> None:
    model = ofa.model
    encoded = full_depth.encode_batch(model, ofa.images, ofa.ids)
    states = [model.embed_target(ofa.target), *full_depth.decode_batch(model, encoded, ofa.target)]
    assert len(states) == ofa.count(r"dec_h\d+")
    for layer, state in enumerate(states):
        assert close(state, ofa[f"dec_h{layer}"]), layer
    assert close(model.logits(states[-1]), ofa["logits"])


def unpadded(ofa: Any, row: int) -> Tensor:
    ids = ofa.ids[row : row + 1]
    return ids[:, ids[0] != ofa.model.config.pad_token_id]


def test_a_row_alone_without_its_padding_has_the_batch_s_memory(ofa: Any, close: Close) -> None:
    for row in range(ofa.rows):
        kept = ~ofa["enc_padmask"][row]
        images = None if ofa.images is None else ofa.images[row : row + 1]
        encoded = full_depth.encode_batch(ofa.model, images, unpadded(ofa, row))
        assert close(encoded.memory[0], ofa["enc"][row, kept])
        if images is not None:
            alone = encode(ofa.model, images, unpadded(ofa, row), NeverExit())
            assert close(alone.memory[0], ofa["enc"][row, kept])


def test_step_by_step_with_a_cache(ofa: Any, close: Close) -> None:
    for row in range(ofa.rows):
        images = None if ofa.images is None else ofa.images[row : row + 1]
        batch = full_depth.encode_batch(ofa.model, images, unpadded(ofa, row))
        prompt_tokens = unpadded(ofa, row).shape[1]
        encoded = EncodedRow(batch.memory, batch.positions, (0, 0), prompt_tokens, 0, 0, (0, 0))
        decoder = RowDecoder(ofa.model, encoded, NeverExit(), "propagate")
        logits = torch.stack([decoder.step(int(token)) for token in ofa.target[row]], dim=1)
        assert close(logits[0], ofa["logits_inc"][row])
