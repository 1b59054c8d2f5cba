"""A batch's encoder: every row leaves with the state of its own exit, whoever its neighbours are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mue_model import reference
from mue_model.config import BatchPolicy
from mue_model.engine.batch import geometry_of
from mue_model.engine.encode import EncodedBatch, PromptCache, encode_rows
from mue_model.engine.tables import build_tables
from mue_model.exits import CosineExit, Depths, ExitPolicy, ScriptedExit
from mue_model.model import MueModel
from mue_model.rows import RowInput

both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])
both_policies = pytest.mark.parametrize("policy", ["compact", "wait_all"])


def encode(
    model: MueModel,
    rows: Sequence[RowInput],
    exits: ExitPolicy,
    policy: BatchPolicy = "compact",
    prompts: PromptCache | None = None,
) -> EncodedBatch:
    geometry = geometry_of(rows[0])
    tables = build_tables(model, geometry, 4)
    return encode_rows(model, rows, geometry, tables, prompts or PromptCache(), exits, policy)


def encode_alone(model: MueModel, row: RowInput, exits: ExitPolicy) -> reference.EncodedRow:
    image = model.normalise(torch.from_numpy(row.pixels)[None])
    return reference.encode(model, image, torch.tensor([row.prompt_ids]), exits, row.uid)


def assert_equals_reference(model: MueModel, rows: Sequence[RowInput], exits: ExitPolicy, batch: EncodedBatch) -> None:
    for number, row in enumerate(rows):
        alone = encode_alone(model, row, exits)
        torch.testing.assert_close(batch.memory[number], alone.memory[0], rtol=0, atol=1e-9)
        assert (batch.image.layers_run[number], batch.text.layers_run[number]) == (alone.image, alone.text)
        checks = (batch.image.checks[number], 0 if batch.text is batch.image else batch.text.checks[number])
        assert checks == alone.checks


@both_streams
@both_policies
def test_scripted_rows_leave_with_their_own_state(
    small_model: Any, make_rows: Any, streams: str, policy: BatchPolicy
) -> None:
    model, rows, seen = small_model(streams=streams), make_rows(6), set()
    depth = st.integers(1, model.config.encoder_layers)

    @settings(deadline=None, max_examples=12)
    @given(depths=st.lists(st.tuples(depth, depth), min_size=1, max_size=6))
    @example(depths=[(2, 3), (1, 2), (3, 1), (2, 2)])
    def check(depths: list[tuple[int, int]]) -> None:
        group = rows[: len(depths)]
        exits = ScriptedExit({row.uid: Depths(*pair, (1,)) for row, pair in zip(group, depths, strict=True)})
        batch = encode(model, group, exits, policy)
        assert_equals_reference(model, group, exits, batch)
        for stream in (batch.image, batch.text):
            ran = stream.layers_run if policy == "compact" else [stream.layers_run.max()] * len(group)
            assert stream.layers_computed.tolist() == list(ran)
        seen.update(batch.image.layers_run.tolist())

    check()
    assert seen == {1, 2, 3}


@both_streams
@both_policies
def test_real_thresholds(
    small_model: Any, make_rows: Any, quantile_exits: Any, streams: str, policy: BatchPolicy
) -> None:
    model, rows = small_model(streams=streams), make_rows(8)
    exits = quantile_exits(model, rows, 0.6)
    batch = encode(model, rows, exits, policy)
    assert_equals_reference(model, rows, exits, batch)
    assert len(set(batch.image.layers_run.tolist())) > 1


@both_streams
def test_other_neighbours_change_no_bit(small_model: Any, make_rows: Any, streams: str) -> None:
    model = small_model(dtype="float32", streams=streams)
    mine, others, more = (make_rows(count, prefix=name) for count, name in [(1, "mine"), (4, "others"), (4, "more")])
    depths = [Depths(2, 3, (1,)), Depths(1, 2, (1,)), Depths(3, 1, (1,)), Depths(3, 3, (1,)), Depths(2, 1, (1,))]
    memories = []
    for neighbours in (others, more):
        group = [*neighbours[:2], *mine, *neighbours[2:]]
        exits = ScriptedExit({row.uid: depth for row, depth in zip(group, depths, strict=True)})
        memories.append(encode(model, group, exits).memory)
    assert torch.equal(memories[0][2], memories[1][2])
    assert not torch.equal(memories[0][1], memories[1][1])


def test_a_prompt_is_encoded_once_where_decisions_look_at_states_only(small_model: Any, make_rows: Any) -> None:
    model, prompts = small_model(streams="decomposed"), PromptCache()
    rows = [*make_rows(2), *make_rows(2, prefix="b", prompt_ids=(0, 9, 11, 2))]
    exits = CosineExit({"image": [0.55] * 3, "text": [0.8] * 3})
    first = encode(model, rows, exits, prompts=prompts)
    assert first.text_reused.tolist() == [False, True, False, True]
    assert_equals_reference(model, rows, exits, first)
    again = encode(model, rows[1:], exits, prompts=prompts)
    assert again.text_reused.tolist() == [True, True, True]
    assert_equals_reference(model, rows[1:], exits, again)


def test_a_prompt_is_encoded_for_every_row_where_decisions_look_at_uids(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(3)
    exits = ScriptedExit({row.uid: Depths(1, 1 + number, (1,)) for number, row in enumerate(rows)})
    batch = encode(model, rows, exits)
    assert not batch.text_reused.any()
    assert batch.text.layers_run.tolist() == [1, 2, 3]


def test_the_prompt_cache_drops_the_oldest(small_model: Any, make_rows: Any) -> None:
    model, prompts = small_model(streams="decomposed"), PromptCache(capacity=2)
    for token in (5, 6, 7):
        encode(
            model,
            make_rows(1, prompt_ids=(0, token, 2)),
            CosineExit({"image": [2] * 3, "text": [2] * 3}),
            prompts=prompts,
        )
    assert [prompts.get(("", (0, token, 2))) is not None for token in (5, 6, 7)] == [False, True, True]


def test_joint_streams_share_one_account(small_model: Any, make_rows: Any, random_script: Any) -> None:
    model, rows = small_model(streams="joint"), make_rows(3)
    batch = encode(model, rows, random_script(model, rows))
    assert batch.text is batch.image
    assert not batch.text_reused.any()
    assert batch.memory.dtype == torch.float64
    assert np.array_equal(batch.image.layers_run, batch.image.layers_computed)
