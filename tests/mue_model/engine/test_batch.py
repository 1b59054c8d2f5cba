"""Whole batches: the reference's results (parity ladder 1, 3, 4), and an account that adds up to the counter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mue_model import costs, reference
from mue_model.config import BatchPolicy, GenerationConfig, KvPolicy
from mue_model.decoding import greedy_tokens
from mue_model.engine.batch import BatchRunner, geometry_of
from mue_model.engine.tables import Geometry
from mue_model.exits import CosineExit, ExitPolicy, NeverExit, Stage, row_similarity
from mue_model.model import MueModel
from mue_model.rows import RowInput, RowResult

GENERATION = GenerationConfig(max_tokens=6)
both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])
every_policy = pytest.mark.parametrize(
    ("kv_policy", "policy"),
    [("propagate", "compact"), ("propagate", "wait_all"), ("holes", "compact"), ("holes", "wait_all")],
)


def answer_alone(model: MueModel, rows: Sequence[RowInput], exits: ExitPolicy, kv_policy: KvPolicy) -> list[RowResult]:
    return [reference.run_row(model, row, exits, GENERATION, kv_policy) for row in rows]


def assert_same(results: Sequence[RowResult], expected: Sequence[RowResult]) -> None:
    for ours, theirs in zip(results, expected, strict=True):
        assert (ours.uid, ours.tokens, ours.finish_reason) == (theirs.uid, theirs.tokens, theirs.finish_reason)
        assert ours.trace == theirs.trace
        assert ours.error is None


def net_flops(model: MueModel, results: Sequence[RowResult]) -> int:
    executed = sum(costs.row_flops(model.config, result.trace).executed for result in results)
    return executed - sum(r.flops_reused for r in results) + sum(r.flops_padding for r in results)


def test_geometry_is_the_grid_and_the_prompt_s_length(make_rows: Any) -> None:
    (row,) = make_rows(1, grid=(1, 3), prompt_ids=(0, 5, 2))
    geometry = geometry_of(row)
    assert geometry == Geometry((1, 3), 3)
    assert (geometry.patches, geometry.memory) == (3, 6)


@both_streams
@every_policy
def test_real_thresholds_give_the_reference_s_rows(
    small_model: Any, make_rows: Any, quantile_exits: Any, streams: str, kv_policy: KvPolicy, policy: BatchPolicy
) -> None:
    model = small_model(streams=streams)
    rows = [*make_rows(6), *make_rows(6, prefix="b", prompt_ids=(0, 13, 4, 2))]
    exits = quantile_exits(model, rows, 0.6, steps=3)
    results = BatchRunner(model, exits, GENERATION, kv_policy, policy).run(rows)
    assert_same(results, answer_alone(model, rows, exits, kv_policy))
    assert len({result.trace.image for result in results}) > 1
    assert len({depth for result in results for depth in result.trace.decoder}) > 2
    assert len({result.tokens for result in results}) > 2


@both_streams
@every_policy
@pytest.mark.parametrize("scripted", [True, False])
def test_executed_less_reused_plus_padding_is_what_is_counted(
    small_model: Any,
    make_rows: Any,
    random_script: Any,
    counted: Any,
    streams: str,
    kv_policy: KvPolicy,
    policy: BatchPolicy,
    scripted: bool,
) -> None:
    model = small_model(streams=streams)
    first, second = make_rows(5, prefix="acc"), make_rows(3, prefix="two", prompt_ids=(0, 13, 4, 2))
    thresholds = {"joint": [0.7] * 3, "image": [0.6] * 3, "text": [0.6] * 3, "decoder": [0.6] * 4}
    exits = random_script(model, [*first, *second]) if scripted else CosineExit(thresholds)
    runner = BatchRunner(model, exits, GENERATION, kv_policy, policy)
    for rows in (first, [*second, *first[:2]]):  # the second batch finds tables and one prompt at hand
        results, seen = counted(lambda rows=rows: runner.run(rows))
        assert all(result.flops_reused >= 0 <= result.flops_padding for result in results)
        if kv_policy == "propagate":
            assert net_flops(model, results) == seen
        else:  # shorter caches run at the length of the longest: a few products that no row asked for
            assert net_flops(model, results) == pytest.approx(seen, rel=0.01)
    assert len({depth for result in results for depth in result.trace.decoder}) > 1


def test_tables_and_prompts_are_paid_for_once(small_model: Any, make_rows: Any, counted: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(4)
    runner = BatchRunner(model, NeverExit(), GENERATION)
    (first, again) = (counted(lambda: runner.run(rows)) for _ in range(2))
    assert first[1] > again[1]
    for result in again[0]:
        regions = costs.row_flops(model.config, result.trace).regions
        assert result.flops_reused == regions.positions + regions.text_layers
    assert_same(again[0], first[0])


def test_wait_all_pads_where_compact_does_not(small_model: Any, make_rows: Any, random_script: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(5)
    exits = random_script(model, rows)
    padding = {}
    for policy in ("compact", "wait_all"):
        runner = BatchRunner(model, exits, GENERATION, "propagate", policy)
        runner.run(rows[:1])  # pays for the tables
        padding[policy] = sum(result.flops_padding for result in runner.run(rows))
    assert padding["compact"] == 0 < padding["wait_all"]


def test_a_row_that_is_not_finite_is_an_error_and_its_neighbours_are_not(
    small_model: Any, make_rows: Any, not_finite_on_white: Any
) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(5)
    spoilt = replace(rows[2], pixels=np.full_like(rows[2].pixels, 255))
    runner = BatchRunner(not_finite_on_white(model), NeverExit(), GENERATION)
    results = runner.run([*rows[:2], spoilt, *rows[3:]])
    assert results[2].error is not None
    assert results[2].error.code == "nonfinite"
    assert (results[2].tokens, results[2].finish_reason, results[2].trace) == ((), "none", None)
    kept = [0, 1, 3, 4]
    assert_same([results[n] for n in kept], [answer_alone(model, rows, NeverExit(), "propagate")[n] for n in kept])


class Watched:
    """Cosine exits that keep how close each row came to a threshold, in the encoder and at every decoding step."""

    row_dependent = True

    def __init__(self, exits: CosineExit) -> None:
        self.exits = exits
        self.closest: dict[tuple[str, str, int], float] = {}

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        return self.exits.may_exit(stage, layer, step)

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        distances = (row_similarity(before, after) - self.exits.threshold(stage, layer, step)).abs().tolist()
        for uid, distance in zip(uids, distances, strict=True):
            key = (uid, "decoder" if stage == "decoder" else "encoder", step)
            self.closest[key] = min(distance, self.closest.get(key, 1.0))
        return self.exits.decide(stage, layer, step, uids, before, after)


def top_two_margins(model: MueModel, row: RowInput, exits: ExitPolicy, tokens: Sequence[int]) -> list[float]:
    """The reference's margin between the best permitted token and the next, at every step."""
    image = model.normalise(torch.from_numpy(row.pixels)[None])
    encoded = reference.encode(model, image, torch.tensor([row.prompt_ids]), exits, row.uid)
    decoder = reference.RowDecoder(model, encoded, exits, "propagate", row.uid)
    margins = []
    for step, token in enumerate([model.config.bos_token_id, *tokens[:-1]]):
        logits = decoder.step(token)
        rest = logits.clone()
        rest[0, tokens[step]] = float("-inf")
        second = greedy_tokens(rest, [tokens[:step]], GENERATION, model.config)[0]
        margins.append(float(logits[0, tokens[step]] - logits[0, second]))
    return margins


def is_in_the_band(model: MueModel, row: RowInput, exits: Watched, ours: RowResult, theirs: RowResult) -> bool:
    """Whether the first difference of two results lies within 1e-5 of a threshold, or 1e-4 of the next token."""
    if (ours.trace.image, ours.trace.text) != (theirs.trace.image, theirs.trace.text):
        return exits.closest[row.uid, "encoder", 0] < 1e-5
    both = zip(ours.trace.decoder, ours.tokens, theirs.trace.decoder, theirs.tokens, strict=False)
    for step, (our_depth, our_token, depth, token) in enumerate(both):
        if our_depth != depth:
            return exits.closest[row.uid, "decoder", step] < 1e-5
        if our_token != token:
            return top_two_margins(model, row, exits, theirs.tokens)[step] < 1e-4
    return False


@both_streams
def test_in_fp32_rows_differ_only_within_the_band(
    small_model: Any, make_rows: Any, quantile_exits: Any, streams: str
) -> None:
    model, rows = small_model(dtype="float32", streams=streams), make_rows(48, prefix="fp32")
    # Thresholds that some rows meet exactly, so that rounding decides for them.
    exits = Watched(quantile_exits(model, rows[:12], 0.5, steps=2, exactly=True))
    expected = answer_alone(model, rows, exits, "propagate")
    near = sum(distance < 1e-5 for distance in exits.closest.values())
    assert near > 0, "nobody came near a threshold: the test shows nothing"
    assert len({result.trace.image for result in expected}) > 1
    assert len({depth for result in expected for depth in result.trace.decoder}) > 2
    runner = BatchRunner(model, exits, GENERATION)
    results = [result for start in range(0, 48, 16) for result in runner.run(rows[start : start + 16])]
    differing = 0
    for row, ours, theirs in zip(rows, results, expected, strict=True):
        if (ours.tokens, ours.trace) != (theirs.tokens, theirs.trace):
            differing += 1
            assert is_in_the_band(model, row, exits, ours, theirs), row.uid
    assert differing <= near


@both_streams
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_follows_the_script(
    small_model: Any, make_rows: Any, random_script: Any, streams: str, dtype: str
) -> None:
    model, rows = small_model(dtype=dtype, streams=streams), make_rows(6)
    exits = random_script(model, rows)
    for row, result in zip(rows, BatchRunner(model, exits, GENERATION).run(rows), strict=True):
        alone = reference.run_row(model, row, exits, GENERATION)
        assert result.error is None
        assert (result.trace.image, result.trace.text) == (alone.trace.image, alone.trace.text)
        steps = min(len(result.tokens), len(alone.tokens))
        assert result.trace.decoder[:steps] == alone.trace.decoder[:steps]
