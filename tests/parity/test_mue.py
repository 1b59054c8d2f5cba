"""MuE as published, its quirk included: streams, layer-wise logits, and every threshold point with its exits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mue_model import full_depth
from mue_model.candidates import Targets, targets_of
from mue_model.config import Quirks
from mue_model.exits import CosineExit, NeverExit
from mue_model.model import MueModel
from mue_model.reference import EncodedRow, RowDecoder, decode_sequence, encode
from mue_model.rows import Candidate

Close = Callable[[Tensor, Tensor], bool]


def policy_of(point: Any) -> CosineExit:
    config = point.model.config
    depths = {"image": config.encoder_layers, "text": config.encoder_layers, "decoder": config.decoder_layers}
    return CosineExit({stage: (value,) * depths[stage] for stage, value in point.thresholds.items()})


def sequence(ids: Tensor) -> Targets:
    """One sequence to be read as it is."""
    return targets_of((*ids[0].tolist(), 2), [Candidate(label="", ids=(2,))])


def encode_point(point: Any) -> EncodedRow:
    return encode(point.model, point.images, point.ids, policy_of(point))


def test_text_stream_of_every_layer(mue: Any, close: Close) -> None:
    full = mue.full
    states = full_depth.encode_batch(mue.model, full.images, full.ids).states
    assert len(states) == mue.count(r"txt_h\d+")
    for layer, state in enumerate(states):
        assert close(state[:, -full.ids.shape[1] :], mue[f"txt_h{layer}"]), layer


def test_full_depth_memory_and_logits_of_every_decoder_layer(mue: Any, close: Close) -> None:
    full, model = mue.full, mue.model
    encoded = full_depth.encode_batch(model, full.images, full.ids)
    assert close(encoded.memory, full["enc"])
    states = full_depth.decode_batch(model, encoded, full.target)
    assert len(states) == mue.count(r"train_logits_l\d+")
    for layer, state in enumerate(states):
        assert close(model.logits(state), mue[f"train_logits_l{layer + 1}"]), layer
    assert close(model.logits(states[-1]), full["logits"])


def test_reference_at_full_depth(mue: Any, close: Close) -> None:
    full, model = mue.full, mue.model
    encoded = encode(model, full.images, full.ids, NeverExit())
    assert close(encoded.memory, full["enc"])
    states, layers_run = decode_sequence(model, encoded, sequence(full.target), NeverExit())
    assert layers_run == model.config.decoder_layers
    assert close(model.logits(states[-1]), full["logits"])


def test_point_of_one_full_sequence_pass(point: Any, close: Close) -> None:
    encoded = encode_point(point)
    assert close(encoded.memory, point["enc"])
    states, layers_run = decode_sequence(point.model, encoded, sequence(point.target), policy_of(point))
    assert [encoded.image, encoded.text, layers_run] == point["exit"].tolist()
    assert close(point.model.logits(states[-1]), point["logits"])


def test_point_step_by_step_with_holes(point: Any, close: Close) -> None:
    decoder = RowDecoder(point.model, encode_point(point), policy_of(point), "holes")
    tokens, logits = point["greedy"][0, :1].tolist(), []
    for _ in point["greedy_exits"]:
        logits.append(decoder.step(tokens[-1]))
        tokens.append(int(logits[-1].argmax()))
    assert close(torch.stack(logits, dim=1), point["greedy_logits"])
    assert tokens == point["greedy"][0].tolist()
    assert decoder.depths == point["greedy_exits"].tolist()
    assert [cache.length for cache in decoder.caches] == point["cache_len"].tolist()


def test_points_differ_in_every_exit_and_leave_holes(mue: Any) -> None:
    points = mue.points
    exits = torch.stack([point["exit"] for point in points])
    assert all(len(column.unique()) > 1 for column in exits.T)
    assert any(len(point["greedy_exits"].unique()) > 1 for point in points)
    assert any(point["cache_len"].min() < point["cache_len"].max() for point in points)


def test_the_quirk_matters(mue: Any) -> None:
    full, model = mue.full, mue.model
    without = MueModel(model.config.model_copy(update={"quirks": Quirks()})).eval()
    without.load_state_dict(model.state_dict())
    memory = encode(without, full.images, full.ids, NeverExit()).memory
    assert float((memory - full["enc"]).abs().max()) > 1e-2
