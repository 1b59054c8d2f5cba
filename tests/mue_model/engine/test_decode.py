"""A batch's decoder: every token leaves at its own layer, and later tokens find the right keys and values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mue_model import reference
from mue_model.config import BatchPolicy, GenerationConfig, KvPolicy
from mue_model.decoding import greedy_tokens
from mue_model.engine.batch import geometry_of
from mue_model.engine.decode import BatchDecoder
from mue_model.engine.tables import build_tables
from mue_model.exits import Depths, ExitPolicy, NeverExit, ScriptedExit
from mue_model.model import MueModel
from mue_model.rows import RowInput

STEPS = 6
GENERATION = GenerationConfig(max_tokens=STEPS)


def in_every_policy(test: Any) -> Any:
    test = pytest.mark.parametrize("kv_policy", ["propagate", "holes"])(test)
    return pytest.mark.parametrize("policy", ["compact", "wait_all"])(test)


def encode_alone(model: MueModel, row: RowInput) -> reference.EncodedRow:
    image = model.normalise(torch.from_numpy(row.pixels)[None])
    return reference.encode(model, image, torch.tensor([row.prompt_ids]), NeverExit(), row.uid)


def decoder_of(
    model: MueModel,
    rows: Sequence[RowInput],
    exits: ExitPolicy,
    kv_policy: KvPolicy = "propagate",
    policy: BatchPolicy = "compact",
    encoded: Sequence[reference.EncodedRow] = (),
) -> BatchDecoder:
    memory = torch.cat([row.memory for row in encoded or [encode_alone(model, row) for row in rows]])
    tables = build_tables(model, geometry_of(rows[0]), STEPS)
    return BatchDecoder(model, memory, tables, [row.uid for row in rows], exits, GENERATION, kv_policy, policy)


def assert_equals_reference(batch: BatchDecoder, encoded: Sequence[reference.EncodedRow]) -> None:
    """Same tokens, depths and counts; exit states, and so logits, within 1e-9."""
    model, close = batch.model, {"rtol": 0, "atol": 1e-9}
    for number, (row, uid, memory) in enumerate(zip(batch.rows, batch.uids, encoded, strict=True)):
        alone = reference.RowDecoder(model, memory, batch.exit_policy, batch.kv_policy, uid)
        tokens: list[int] = []
        for step, token in enumerate([model.config.bos_token_id, *row.tokens[:-1]]):
            logits, state = alone.step(token), batch.exit_states[number, step]
            torch.testing.assert_close(state, alone.exit_states[step][0, 0], **close)
            torch.testing.assert_close(model.logits(state[None, None])[0], logits, **close)
            tokens += greedy_tokens(logits, [tokens], GENERATION, model.config)
        assert row.tokens == tokens
        assert row.stopped == (tokens[-1] == model.config.eos_token_id)
        assert row.stopped or len(tokens) == STEPS
        assert (row.depths, row.checks, row.kv_fills) == (alone.depths, alone.checks, alone.kv_fills)


@in_every_policy
def test_scripted_rows(small_model: Any, make_rows: Any, kv_policy: KvPolicy, policy: BatchPolicy) -> None:
    model, rows, lengths, depths_seen = small_model(), make_rows(5), set(), set()
    encoded = [encode_alone(model, row) for row in rows]
    script = st.lists(st.integers(1, model.config.decoder_layers), min_size=1, max_size=STEPS)

    @settings(deadline=None, max_examples=8)
    @given(scripts=st.lists(script, min_size=1, max_size=5))
    @example(scripts=[[1, 4, 1, 2, 4, 3], [4, 1, 1, 1, 1, 4], [2, 2, 4, 1, 3, 1], [1, 1, 1, 1, 1, 4], [3, 4]])
    def check(scripts: list[list[int]]) -> None:
        group = rows[: len(scripts)]
        exits = ScriptedExit({row.uid: Depths(1, 1, tuple(own)) for row, own in zip(group, scripts, strict=True)})
        batch = decoder_of(model, group, exits, kv_policy, policy, encoded[: len(group)])
        batch.decode()
        assert_equals_reference(batch, encoded[: len(group)])
        for step in range(STEPS):
            here = [row for row in batch.rows if len(row.depths) > step]
            deepest = max((row.depths[step] for row in here), default=0)
            assert all(row.computed[step] == (row.depths[step] if policy == "compact" else deepest) for row in here)
        lengths.update(len(row.tokens) for row in batch.rows)
        depths_seen.update(depth for row in batch.rows for depth in row.depths)

    check()
    assert depths_seen == {1, 2, 3, 4}
    assert len(lengths) > 1


@in_every_policy
def test_real_thresholds(
    small_model: Any, make_rows: Any, quantile_exits: Any, kv_policy: KvPolicy, policy: BatchPolicy
) -> None:
    model, rows = small_model(), make_rows(8)
    exits = quantile_exits(model, rows, 0.7)
    encoded = [encode_alone(model, row) for row in rows]
    batch = decoder_of(model, rows, exits, kv_policy, policy, encoded)
    batch.decode()
    assert_equals_reference(batch, encoded)
    assert len({depth for row in batch.rows for depth in row.depths}) > 2
    assert len({tuple(row.depths) for row in batch.rows}) > 2


@in_every_policy
def test_other_neighbours_change_no_bit(
    small_model: Any, make_rows: Any, kv_policy: KvPolicy, policy: BatchPolicy
) -> None:
    model = copy.deepcopy(small_model(dtype="float32"))
    model.encoder.embed_tokens.weight[model.config.eos_token_id] = 0  # no text ends early: the groups keep their shapes
    mine, others, more = (make_rows(count, prefix=name) for count, name in [(1, "mine"), (4, "others"), (4, "more")])
    scripts = [(2, 4, 1, 3, 4, 2), (1, 1, 4, 2, 4, 1), (4, 2, 1, 1, 1, 4), (3, 1, 1, 4, 2, 2), (1, 3, 2, 4, 1, 3)]
    states = []
    for neighbours in (others, more):
        group = [*neighbours[:2], *mine, *neighbours[2:]]
        exits = ScriptedExit({row.uid: Depths(1, 1, own) for row, own in zip(group, scripts, strict=True)})
        batch = decoder_of(model, group, exits, kv_policy, policy)
        assert all(len(row.tokens) == STEPS for row in batch.decode())
        states.append(batch.exit_states)
    assert torch.equal(states[0][2], states[1][2])
    assert not torch.equal(states[0][1], states[1][1])


def test_texts_end_row_by_row(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(10)
    decoded = decoder_of(model, rows, NeverExit()).decode()
    assert len({len(row.tokens) for row in decoded}) > 1
    for row in decoded:
        assert row.stopped == (row.tokens[-1] == model.config.eos_token_id)
        assert row.stopped or len(row.tokens) == STEPS
        assert len(row.depths) == len(row.computed) == len(row.tokens)


def test_a_row_that_is_not_finite_leaves_alone(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(), make_rows(4)
    exits = ScriptedExit({row.uid: Depths(1, 1, (1, 4, 2)) for row in rows})
    sound, spoilt = decoder_of(model, rows, exits), decoder_of(model, rows, exits)
    spoilt.memory[1] = torch.nan
    sound.decode()
    spoilt.decode()
    assert [row.finite for row in spoilt.rows] == [True, False, True, True]
    assert len(spoilt.rows[1].tokens) == 1
    for number in (0, 2, 3):
        assert spoilt.rows[number].tokens == sound.rows[number].tokens
        torch.testing.assert_close(spoilt.exit_states[number], sound.exit_states[number], rtol=0, atol=1e-12)
