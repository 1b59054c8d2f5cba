"""Who leaves, when: MuE's rule per row, strictly, in fp32; schedules against numbers worked out by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mue_model import reference
from mue_model.config import ConfigError, ExitConfig, GenerationConfig, ModelConfig
from mue_model.exits import (
    ConstantSchedule,
    CosineExit,
    Depths,
    NeverExit,
    PaperSchedule,
    PublishedSchedule,
    ScriptedExit,
    make_schedule,
    row_similarity,
)


def states(*vectors: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
    """One row per vector, two tokens each."""
    return torch.tensor(vectors, dtype=dtype).unflatten(1, (2, -1))


def numpy_cosine(a: Tensor, b: Tensor) -> float:
    x, y = (tensor.double().flatten().numpy() for tensor in (a, b))
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def test_similarity_is_per_row_over_all_its_tokens() -> None:
    before = states([1, 0, 0, 0], [10, 0, 0, 10])
    after = states([0, 1, 0, 0], [10, 0, 10, 0])
    assert row_similarity(before, after).tolist() == pytest.approx([0.0, 0.5])
    whole_batch = numpy_cosine(before, after)
    per_token = np.mean([numpy_cosine(before[1, token], after[1, token]) for token in range(2)])
    assert whole_batch == pytest.approx(100 / 201)
    policy = CosineExit({"image": [0.45]})
    assert policy.decide("image", 0, 0, ["a", "b"], before, after).tolist() == [False, True], (whole_batch, per_token)


def test_a_row_s_similarity_does_not_depend_on_its_neighbours() -> None:
    before, after = torch.randn(5, 3, 8), torch.randn(5, 3, 8)
    together = row_similarity(before, after)
    for row in range(5):
        assert torch.equal(row_similarity(before[row : row + 1], after[row : row + 1])[0], together[row])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_similarity_is_computed_in_fp32(dtype: torch.dtype) -> None:
    before, after = torch.randn(4, 6, 32).to(dtype), torch.randn(4, 6, 32).to(dtype)
    similarity = row_similarity(before, after)
    assert similarity.dtype == torch.float32
    for row in range(4):
        assert float(similarity[row]) == pytest.approx(numpy_cosine(before[row], after[row]), abs=1e-6)


def test_similarity_is_computed_in_fp64_where_the_model_is() -> None:
    before, after = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(2, 3, 8, dtype=torch.float64)
    similarity = row_similarity(before, after)
    assert similarity.dtype == torch.float64
    assert float(similarity[0]) == pytest.approx(numpy_cosine(before[0], after[0]), abs=1e-14)


def test_the_threshold_must_be_exceeded_strictly() -> None:
    before, after = states([1, 2, 3, 4], dtype=torch.float64), states([4, 3, 2, 5], dtype=torch.float64)
    reached = float(row_similarity(before, after)[0])
    for threshold, leaves in [
        (reached, False),
        (math.nextafter(reached, 0), True),
        (math.nextafter(reached, 1), False),
    ]:
        assert bool(CosineExit({"text": [threshold]}).decide("text", 0, 0, ["a"], before, after)) is leaves


@pytest.mark.parametrize("schedule", [ConstantSchedule(), PaperSchedule(4), PublishedSchedule(4)])
@pytest.mark.parametrize("threshold", [1.0, 1.1])
def test_a_threshold_of_one_or_more_is_never_asked(schedule: Any, threshold: float) -> None:
    policy = CosineExit({"decoder": [threshold]}, schedule)
    assert not any(policy.may_exit("decoder", 0, step) for step in range(4))


def test_a_rounded_cosine_above_one_does_not_exit_at_threshold_one(small_model: Any, make_rows: Any) -> None:
    model = copy.deepcopy(small_model(dtype="float32"))
    for layer in [*model.encoder.layers, *model.decoder.layers]:  # every layer returns its input
        for part in [layer.fc2, layer.self_attn_mid_layer_norm, getattr(layer, "cross_attn_mid_layer_norm", layer.fc2)]:
            part.weight.zero_()
            part.bias.zero_()
    rows, generation, seen = make_rows(12), GenerationConfig(max_tokens=4), []

    class Spy(CosineExit):
        def decide(self, *arguments: Any) -> Tensor:
            seen.append(float(row_similarity(*arguments[-2:]).max()))
            return super().decide(*arguments)

    just_below = Spy({"joint": [0.9999] * 3, "decoder": [0.9999] * 4})
    at_one = Spy({"joint": [1.0] * 3, "decoder": [1.0] * 4})
    for row in rows:
        early = reference.run_row(model, row, just_below, generation).trace
        assert (early.image, set(early.decoder)) == (1, {1})
    assert max(seen) > 1, "no rounded cosine exceeds 1 here: the test shows nothing"
    seen.clear()
    for row in rows:
        full = reference.run_row(model, row, at_one, generation).trace
        assert (full.image, set(full.decoder), full.checks) == (3, {4}, (0, 0, 0))
    assert not seen


def test_schedules_by_hand() -> None:
    assert [ConstantSchedule().at(0.8, step) for step in (0, 9)] == [0.8, 0.8]
    # .95 * .9 + .05 * exp(-t / 16)
    paper = [PaperSchedule(16).at(0.9, step) for step in (0, 4, 16)]
    assert paper == pytest.approx([0.905, 0.8939400, 0.8733940], abs=1e-7)
    # 1 while t < 16 / 3, then .9 * .7 + .1 * exp(-(t + 1) / 17)
    published = [PublishedSchedule(16).at(0.7, step) for step in (0, 5, 6, 15)]
    assert published == pytest.approx([1.0, 1.0, 0.6962480, 0.6690169], abs=1e-7)
    assert [type(make_schedule(name, 8)) for name in ("constant", "paper", "published")] == [
        ConstantSchedule,
        PaperSchedule,
        PublishedSchedule,
    ]


def test_the_schedule_is_the_decoder_s_only() -> None:
    policy = CosineExit({"image": [0.7], "decoder": [0.7]}, PublishedSchedule(9))
    assert [policy.threshold("decoder", 0, step) for step in (0, 2)] == [1.0, 1.0]
    assert not policy.may_exit("decoder", 0, 2)
    assert policy.may_exit("decoder", 0, 3)
    assert policy.threshold("image", 0, 0) == 0.7
    assert policy.may_exit("image", 0, 0)


def test_thresholds_per_layer(small_config: Callable[..., ModelConfig]) -> None:
    exits = ExitConfig(joint=(0.1, 0.2, 0.3), decoder=0.6, schedule="paper")
    policy = CosineExit.from_config(exits, small_config(), max_tokens=10)
    assert [policy.threshold("joint", layer, 0) for layer in range(3)] == [0.1, 0.2, 0.3]
    assert policy.threshold("decoder", 3, 10) == pytest.approx(0.95 * 0.6 + 0.05 * math.exp(-1))


@pytest.mark.parametrize(("stage", "number"), [("image", 2), ("text", 4), ("joint", 1), ("decoder", 3)])
def test_a_wrong_number_of_thresholds_is_an_error(small_config: Any, stage: str, number: int) -> None:
    exits = ExitConfig(**{stage: (0.9,) * number})
    with pytest.raises(ConfigError, match=rf"exits.{stage} has {number} thresholds.*{4 if stage == 'decoder' else 3}"):
        CosineExit.from_config(exits, small_config(), max_tokens=4)


def test_never_exit() -> None:
    same = torch.ones(2, 1, 4)
    assert not NeverExit().may_exit("decoder", 0, 0)
    assert NeverExit().decide("decoder", 0, 0, ["a", "b"], same, same).tolist() == [False, False]


def test_a_script_goes_by_uid_and_its_last_entry_holds() -> None:
    policy = ScriptedExit({"a": Depths(1, 3, (2, 4)), "b": Depths(2, 1, (1,))})
    same = torch.ones(2, 1, 4)

    def leaves(stage: Any, layer: int, step: int, uids: list[str]) -> list[bool]:
        return policy.decide(stage, layer, step, uids, same, same).tolist()

    assert leaves("image", 0, 0, ["a", "b"]) == [True, False]
    assert leaves("image", 0, 0, ["b", "a"]) == [False, True]
    assert leaves("text", 0, 0, ["a", "b"]) == [False, True]
    assert leaves("joint", 1, 0, ["a", "b"]) == [True, True]
    assert [leaves("decoder", 1, step, ["a"]) for step in range(4)] == [[True], [False], [False], [False]]
    assert leaves("decoder", 3, 9, ["a", "b"]) == [True, True]


def test_candidates_without_thresholds_go_by_those_of_a_first_token(small_config: Callable[..., ModelConfig]) -> None:
    shared = CosineExit.from_config(ExitConfig(decoder=0.5, schedule="paper"), small_config(), max_tokens=10)
    assert shared.threshold("candidates", 1, 0) == shared.threshold("decoder", 1, 0) == pytest.approx(0.525)
    own = CosineExit.from_config(ExitConfig(decoder=0.5, candidates=0.9, schedule="paper"), small_config(), 10)
    assert own.threshold("candidates", 1, 0) == 0.9, "what is scored has no steps"
