"""Tokens that leave by confidence: the rule by hand, every engine against the reference, and what the head costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mue_model import costs, reference
from mue_model.config import EngineConfig, ExitConfig, GenerationConfig
from mue_model.depth_trace import DepthTracer
from mue_model.exits import (
    SUREST,
    ConfidenceExit,
    CosineExit,
    NeverExit,
    PublishedSchedule,
    Stage,
    confidence,
    signal_of,
)
from mue_model.loading import make_runner
from mue_model.marked_rows import MarkedAtFullDepth, marked
from mue_model.model import MueModel
from mue_model.rows import RowInput, RowResult

GENERATION = GenerationConfig(max_tokens=6)
ENCODER: dict[Stage, list[float]] = {"joint": [0.6] * 3, "image": [0.6] * 3, "text": [0.6] * 3}
POLICIES = ["regroup", "compact", "wait_all", "mask"]
every_policy = pytest.mark.parametrize("policy", POLICIES)


class Witness(ConfidenceExit):
    """Lets no token leave, and keeps how sure the head was of it."""

    def __init__(self, layers: int) -> None:
        super().__init__({**ENCODER, "decoder": [SUREST] * layers})
        self.seen: defaultdict[int, list[float]] = defaultdict(list)

    def decide_by_logits(self, layer: int, steps: Sequence[int], uids: Sequence[str], logits: Tensor) -> Tensor:
        self.seen[layer] += confidence(logits).amin(dim=-1).tolist()
        return super().decide_by_logits(layer, steps, uids, logits)


def by_confidence(model: MueModel, rows: Sequence[RowInput], *, beams: int = 1, share: float = 0.5) -> ConfidenceExit:
    """Thresholds, one per decoder layer, that this share of tokens stays below where none leaves."""
    witness = Witness(model.config.decoder_layers)
    for row in rows:
        reference.run_row(model, row, witness, GENERATION.model_copy(update={"beams": beams}))
    decoder = []
    for _, own in sorted(witness.seen.items()):  # between two of them, where rounding moves nobody
        seen = np.unique(own)
        place = int(share * (len(seen) - 1))
        decoder.append(float(np.mean([*seen, 1.0][place : place + 2])))
    return ConfidenceExit({**ENCODER, "decoder": [*decoder, 1.0]})


def answers(
    model: MueModel, exits: Any, rows: Sequence[RowInput], policy: str, kv_policy: Any = "propagate", beams: int = 1
) -> list[RowResult]:
    sizes = {"group_size": 4, "image_group_size": 3, "attention": "gathered"}
    config = EngineConfig.model_validate({"policy": policy} | sizes)
    runner = make_runner(model, exits, GENERATION.model_copy(update={"beams": beams}), kv_policy, config)
    found: dict[int, RowResult] = {}
    for ticket, row in enumerate(rows):
        runner.admit(ticket, row)
    while len(found) < len(rows):
        found |= dict(runner.step())
    return [found[ticket] for ticket in range(len(rows))]


def test_a_confidence_is_the_highest_probability_and_never_one() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, np.log(9.0), -torch.inf, -torch.inf], [90.0, 0.0, 0.0, 0.0]])
    assert confidence(logits).tolist() == pytest.approx([0.25, 0.9, SUREST], abs=1e-7)
    assert (confidence(logits) < 1).all()
    coarse = logits.to(torch.bfloat16)
    assert confidence(coarse).dtype == torch.float32
    assert confidence(logits.double()).dtype == torch.float64
    assert confidence(torch.tensor([[torch.nan, 1.0]])).isnan().all(), "and so exceeds nothing"


def test_the_threshold_must_be_exceeded_by_the_least_sure_beam() -> None:
    exits = ConfidenceExit({"decoder": [0.5, 1.0]})
    even, sure = [0.0, 0.0], [0.0, 3.0]
    logits = torch.tensor([[even, even], [even, sure], [sure, sure]])
    assert exits.decide_by_logits(0, [0, 1, 2], ["a", "b", "c"], logits).tolist() == [False, False, True]
    assert [exits.may_exit("decoder", layer, 0) for layer in (0, 1)] == [True, False]


def test_candidates_leave_by_thresholds_of_their_own_alone(small_config: Any) -> None:
    model = small_config()
    own = {"decoder_signal": "confidence", "decoder": 0.2}
    without = CosineExit.from_config(ExitConfig.model_validate(own), model, 8)
    with_some = CosineExit.from_config(ExitConfig.model_validate(own | {"candidates": 0.7}), model, 8)
    assert signal_of(without) == signal_of(with_some) == "confidence"
    assert not any(without.may_exit("candidates", layer, 0) for layer in range(model.decoder_layers))
    assert with_some.threshold("candidates", 0, 0) == 0.7
    assert (
        signal_of(CosineExit.from_config(ExitConfig(decoder=0.2), model, 8)) == signal_of(NeverExit()) == "similarity"
    )


@pytest.mark.parametrize("streams", ["joint", "decomposed"])
@pytest.mark.parametrize(
    ("policy", "kv_policy", "beams"),
    [
        *((policy, "propagate", 1) for policy in POLICIES),
        ("mask", "holes", 1),
        ("compact", "holes", 1),
        *(("regroup", kv_policy, 1) for kv_policy in ("just_in_time", "holes")),
        *(("regroup", kv_policy, 3) for kv_policy in ("propagate", "just_in_time", "holes")),
    ],
)
def test_every_engine_gives_the_reference_s_rows(
    small_model: Any, make_rows: Any, policy: str, kv_policy: Any, beams: int, streams: str
) -> None:
    model, rows = small_model(streams=streams), [*make_rows(7), *make_rows(4, prefix="b", prompt_ids=(0, 13, 4, 2))]
    exits = by_confidence(model, rows, beams=beams)
    generation = GENERATION.model_copy(update={"beams": beams})
    expected = [reference.run_row(model, row, exits, generation, kv_policy) for row in rows]
    results = answers(model, exits, rows, policy, kv_policy, beams)
    for ours, theirs in zip(results, expected, strict=True):
        assert (ours.error, ours.tokens, ours.trace) == (None, theirs.tokens, theirs.trace)
    assert len({depth for result in results for depth in result.trace.decoder}) > 2
    assert {result.trace.decoder_signal for result in results} == {"confidence"}


def test_steps_that_are_not_asked_run_no_head(small_model: Any, make_rows: Any, counted: Any) -> None:
    model, rows = small_model(), make_rows(6)
    plain = by_confidence(model, rows)
    decoder = [plain.threshold("decoder", layer, 0) * 0.9 for layer in range(4)]
    exits = ConfidenceExit({"joint": [1.0] * 3, "decoder": decoder}, PublishedSchedule(GENERATION.max_tokens))
    results, seen = counted(lambda: answers(model, exits, rows, "regroup"))
    expected = [reference.run_row(model, row, exits, GENERATION) for row in rows]
    assert [result.trace for result in results] == [result.trace for result in expected]
    assert all(result.trace.decoder[:2] == (4, 4) for result in results)
    assert any(min(result.trace.decoder) < 4 for result in results)
    executed = sum(costs.row_flops(model.config, result.trace).executed for result in results)
    assert executed - sum(result.flops_reused for result in results) == pytest.approx(seen, rel=0.01)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_row_costs_what_the_counter_sees(small_model: Any, make_rows: Any, counted: Any, beams: int) -> None:
    """Behind every check the head has run, once for each token that leaves and in vain for those that stay."""
    model, rows = small_model(), make_rows(4)
    exits, generation = by_confidence(model, rows, beams=beams), GENERATION.model_copy(update={"beams": beams})
    in_vain = 0
    for row in rows:
        result, seen = counted(lambda row=row: reference.run_row(model, row, exits, generation))
        flops = costs.row_flops(model.config, result.trace)
        assert flops.executed == seen
        head = 2 * model.config.d_model * model.config.vocab_size * beams
        assert flops.regions.head % head == 0
        in_vain += flops.regions.head // head - len(result.trace.decoder)
        assert costs.decoder_check_flops(model.config, result.trace) == (
            3 * model.config.vocab_size * beams * result.trace.checks[2]
        )
        assert (
            flops.full_same_length
            == costs.row_flops(model.config, costs.full_depth(model.config, result.trace)).executed
        )
    assert in_vain > 0


@every_policy
def test_executed_less_reused_plus_padding_is_what_is_counted(
    small_model: Any, make_rows: Any, counted: Any, policy: str
) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(6)
    exits = by_confidence(model, rows)
    results, seen = counted(lambda: answers(model, exits, rows, policy))
    executed = sum(costs.row_flops(model.config, result.trace).executed for result in results)
    # Attention runs at the length of the longest, or of those that left earlier: a few products in a thousand.
    padding, reused = (sum(getattr(r, name) for r in results) for name in ("flops_padding", "flops_reused"))
    assert executed - reused + padding == pytest.approx(seen, rel=0.003)


@every_policy
def test_marked_rows_run_at_full_depth(small_model: Any, make_rows: Any, policy: str) -> None:
    model, rows = small_model(), make_rows(6)
    exits = by_confidence(model, rows, share=0.2)
    mixed = [each for row in rows for each in (row, marked(row))]
    results = answers(model, MarkedAtFullDepth(exits), mixed, policy)
    for row, own, full in zip(rows, results[::2], results[1::2], strict=True):
        assert own.trace == reference.run_row(model, row, exits, GENERATION).trace
        deep = reference.run_row(model, row, NeverExit(), GENERATION)
        assert full.tokens == deep.tokens
        assert replace(full.trace, checks=(0, 0, 0)) == deep.trace, "and no head runs in vain"


def test_an_auditor_knows_the_trace_from_the_depths(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(5)
    exits = by_confidence(model, rows)
    for row in rows:
        trace = reference.run_row(model, row, exits, GENERATION).trace
        tracer = DepthTracer(config=model.config, policy=exits, grid=trace.grid)
        assert tracer.generated(trace.prompt_tokens, trace.image, trace.text, trace.decoder) == trace


def test_a_group_that_has_no_room_runs_again_and_counts_once(
    small_model: Any, make_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = small_model(), make_rows(16)
    exits = by_confidence(model, rows)
    expected = [reference.run_row(model, row, exits, GENERATION) for row in rows]
    embed, refused = model.embed_target, []

    def no_room_for_two(ids: Tensor) -> Tensor:
        if len(ids) > 1:
            refused.append(len(ids))
            raise torch.OutOfMemoryError("no")
        return embed(ids)

    monkeypatch.setattr(model, "embed_target", no_room_for_two)
    results = answers(model, exits, rows, "regroup")
    assert refused
    assert [(r.tokens, r.trace) for r in results] == [(r.tokens, r.trace) for r in expected]
