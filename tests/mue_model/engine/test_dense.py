"""The dense engine against the reference: any schedule, any setting, any neighbours; an account that adds up."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mue_model import costs, reference
from mue_model.config import EngineConfig, GenerationConfig, KvPolicy
from mue_model.engine.capacity import row_bytes
from mue_model.engine.decoder_region import DECODER
from mue_model.engine.dense import DenseRunner
from mue_model.engine.encoder_region import ENCODER, KEPT_PROMPTS
from mue_model.engine.score_region import SCORES
from mue_model.exits import CosineExit, Depths, ExitPolicy, NeverExit, PublishedSchedule, ScriptedExit
from mue_model.model import MueModel
from mue_model.rows import Candidate, RowInput, RowResult

GENERATION = GenerationConfig(max_tokens=6)
GRIDS = [(1, 2), (2, 2), (3, 1)]
PROMPTS = [(0, 5, 2), (0, 9, 7, 11, 2), (0, 8, 2)]
both_streams = pytest.mark.parametrize("streams", ["joint", "decomposed"])
both_attentions = pytest.mark.parametrize("attention", ["numba", "gathered"])
every_kv_policy = pytest.mark.parametrize("kv_policy", ["propagate", "just_in_time", "holes"])


def run_all(runner: DenseRunner, rows: Sequence[RowInput]) -> list[RowResult]:
    """Admit while there is room, until all are answered; each exactly once."""
    results: dict[int, RowResult] = {}
    coming = list(enumerate(rows))
    while coming or runner.busy:
        while coming and runner.room():
            runner.admit(*coming.pop(0))
        for ticket, result in runner.step(held_back=bool(coming)):
            assert ticket not in results
            results[ticket] = result
    assert runner.scheduler.waiting() == {}
    assert runner.decoder.in_flight == runner.scores.in_flight == runner.encoder.in_flight == 0
    return [results[ticket] for ticket in range(len(rows))]


def runner_of(
    model: MueModel,
    exits: ExitPolicy,
    generation: GenerationConfig = GENERATION,
    kv_policy: KvPolicy = "propagate",
    group_size: int = 4,
    **changes: Any,
) -> DenseRunner:
    config = EngineConfig.model_validate({"group_size": group_size, "image_group_size": 3} | changes)
    return DenseRunner(model, exits, generation, kv_policy, config)


def assert_reference(
    model: MueModel,
    rows: Sequence[RowInput],
    exits: ExitPolicy,
    results: Sequence[RowResult],
    generation: GenerationConfig = GENERATION,
    kv_policy: KvPolicy = "propagate",
) -> None:
    for row, ours in zip(rows, results, strict=True):
        theirs = reference.run_row(model, row, exits, generation, kv_policy)
        assert ours.error is None
        assert (ours.uid, ours.tokens, ours.finish_reason) == (row.uid, theirs.tokens, theirs.finish_reason)
        assert ours.label == theirs.label
        assert ours.scores == pytest.approx(theirs.scores, abs=1e-9)
        assert ours.trace == theirs.trace


def mixed_rows(make_rows: Any, count: int, prefix: str = "mixed") -> list[RowInput]:
    """Rows of several geometries, some of them with candidates."""
    rows = []
    for number in range(count):
        grid, prompt = GRIDS[number % 3], PROMPTS[number // 2 % 3]
        [row] = make_rows(1, prefix=f"{prefix}{number}", grid=grid, prompt_ids=prompt)
        if number % 4 == 3:
            answers = [(4,), (6, 7), (8 + number % 3,)][: 2 + number % 2]
            row = replace(row, candidates=tuple(Candidate(label=str(ids), ids=(*ids, 2)) for ids in answers))
        rows.append(row)
    return rows


# Parity ladder 1: mechanism without numerics.

VARIED = [(1 + n % 3, 3 - n % 3, [1 + n % 4, 4, 1, 2 + n % 2, 1 + n // 2 % 4, 3]) for n in range(13)]
SETTING = {"attention": "numba", "beams": 1, "group_size": 4, "image_group_size": 2, "rows_in_flight": None}


def test_any_schedule_under_any_setting_is_the_reference_s_rows(small_model: Any, make_rows: Any) -> None:
    seen: Counter[str] = Counter()

    @settings(deadline=None, max_examples=30)
    @given(
        depths=st.lists(
            st.tuples(st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(1, 4), min_size=1, max_size=6)),
            min_size=1,
            max_size=14,
        ),
        streams=st.sampled_from(["joint", "decomposed"]),
        kv_policy=st.sampled_from(["propagate", "just_in_time", "holes"]),
        attention=st.sampled_from(["numba", "gathered"]),
        beams=st.sampled_from([1, 1, 3]),
        group_size=st.integers(1, 9),
        image_group_size=st.integers(1, 4),
        rows_in_flight=st.one_of(st.none(), st.integers(1, 5)),
    )
    @example(depths=VARIED, streams="joint", kv_policy="holes", **SETTING | {"beams": 3})
    @example(depths=VARIED, streams="decomposed", kv_policy="just_in_time", **SETTING)
    @example(depths=VARIED, streams="decomposed", kv_policy="propagate", **SETTING)
    def check(depths: list[Any], streams: str, kv_policy: Any, beams: int, **setting: Any) -> None:
        model, rows = small_model(streams=streams), mixed_rows(make_rows, len(depths))
        exits = ScriptedExit({row.uid: Depths(i, t, tuple(d)) for row, (i, t, d) in zip(rows, depths, strict=True)})
        generation = GENERATION.model_copy(update={"beams": beams})
        runner = runner_of(model, exits, generation, kv_policy, **setting)
        assert_reference(model, rows, exits, results := run_all(runner, rows), generation, kv_policy)
        seen.update(f"depth {depth}" for result in results if result.trace for depth in result.trace.decoder)
        seen.update(f"length {len(result.tokens)}" for result in results)
        seen.update({f"beams {beams}": 1, f"{kv_policy}": 1, streams: 1})

    check()
    assert {f"depth {n}" for n in (1, 2, 3, 4)} <= seen.keys()
    assert {"beams 3", "propagate", "just_in_time", "holes", "joint", "decomposed"} <= seen.keys()
    assert len([name for name in seen if name.startswith("length")]) > 3


# Parity ladder 3: real thresholds.


@both_streams
@both_attentions
@every_kv_policy
@pytest.mark.parametrize("beams", [1, 4])
def test_real_thresholds_give_the_reference_s_rows(
    small_model: Any,
    make_rows: Any,
    quantile_exits: Any,
    streams: str,
    attention: str,
    kv_policy: KvPolicy,
    beams: int,
) -> None:
    model, rows = small_model(streams=streams), make_rows(14)
    exits = quantile_exits(model, rows[:6], 0.6, steps=3)
    generation = GENERATION.model_copy(update={"beams": beams})
    results = run_all(runner_of(model, exits, generation, kv_policy, attention=attention), rows)
    assert_reference(model, rows, exits, results, generation, kv_policy)
    assert len({result.trace.image for result in results if result.trace}) > 1
    assert len({depth for result in results if result.trace for depth in result.trace.decoder}) > 2


def test_a_schedule_that_depends_on_the_step(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(12)
    thresholds = {"image": [0.6] * 3, "text": [1.0] * 3, "decoder": [0.6, 1.0, 0.55, 1.0]}
    exits = CosineExit(thresholds, PublishedSchedule(GENERATION.max_tokens))  # type: ignore[arg-type]
    results = run_all(runner_of(model, exits), rows)
    assert_reference(model, rows, exits, results)
    assert len({result.trace.checks for result in results if result.trace}) > 1


class AsInTheInterface:
    """A policy with nothing but what the protocol asks for: `decide` for one step at a time."""

    row_dependent = True

    def __init__(self, script: ScriptedExit) -> None:
        self.may_exit, self._script = script.may_exit, script

    def decide(self, stage: Any, layer: int, step: int, uids: Sequence[str], before: Any, after: Any) -> torch.Tensor:
        assert len(uids) == len(before) == len(after)
        return self._script.decide(stage, layer, step, uids, before, after)


def test_a_policy_of_one_s_own_is_asked_step_by_step(small_model: Any, make_rows: Any, random_script: Any) -> None:
    model, rows = small_model(), make_rows(9)
    exits = AsInTheInterface(random_script(model, rows))
    assert_reference(model, rows, exits, run_all(runner_of(model, exits), rows))


# Parity ladder 2: isolation, to the bit.


@both_attentions
@every_kv_policy
def test_other_neighbours_change_no_bit(small_model: Any, make_rows: Any, attention: str, kv_policy: KvPolicy) -> None:
    model = copy.deepcopy(small_model(dtype="float32"))
    model.encoder.embed_tokens.weight[model.config.eos_token_id] = 0  # no text ends early: groups keep their shapes
    mine, others, more = (make_rows(count, prefix=name) for count, name in [(1, "mine"), (4, "others"), (4, "more")])
    states = []
    for neighbours in (others, more):
        group = [*neighbours[:2], *mine, *neighbours[2:]]
        script = [(2, 4, 1, 3, 4, 2), (1, 1, 4, 2, 4, 1), (4, 2, 1, 1, 1, 4), (3, 1, 1, 4, 2, 2), (1, 3, 2, 4, 1, 3)]
        exits = ScriptedExit({row.uid: Depths(2, 2, own) for row, own in zip(group, script, strict=True)})
        runner = runner_of(model, exits, kv_policy=kv_policy, group_size=5, image_group_size=5, attention=attention)
        slots = {}
        for ticket, row in enumerate(group):
            runner.admit(ticket, row)
        while runner.busy:
            runner.step()
            slots |= {flight.row.uid: slot for slot, flight in runner.decoder._flights.items()}
        store = runner.decoder.store
        states.append(store.exits[slots[mine[0].uid]].clone())
        other = store.exits[slots[neighbours[0].uid]].clone()
        states.append(other)
    assert torch.equal(states[0], states[2])
    assert not torch.equal(states[1], states[3])


# What rows share, and an account that adds up.


@both_streams
@every_kv_policy
@pytest.mark.parametrize("beams", [1, 3])
def test_executed_less_reused_plus_padding_is_what_is_counted(
    small_model: Any, make_rows: Any, counted: Any, streams: str, kv_policy: KvPolicy, beams: int
) -> None:
    model, rows = small_model(streams=streams), mixed_rows(make_rows, 16)
    rows += [replace(row, uid=f"again {row.uid}") for row in rows[:5]]
    thresholds = {"joint": [0.7] * 3, "image": [0.6] * 3, "text": [0.6] * 3, "decoder": [0.6] * 4}
    generation = GENERATION.model_copy(update={"beams": beams})
    exits = CosineExit(thresholds)  # type: ignore[arg-type]
    runner = runner_of(model, exits, generation, kv_policy, attention="gathered")
    results, seen = counted(lambda: run_all(runner, rows))
    executed = sum(costs.row_flops(model.config, result.trace).executed for result in results)
    reused, padding = (sum(getattr(r, name) for r in results) for name in ("flops_reused", "flops_padding"))
    # Attention runs at the length of the longest: products that no row asked for, a few in a hundred here.
    assert executed - reused + padding == pytest.approx(seen, rel=0.01)
    for result in results:
        assert result.flops_reused == result.reused.total() >= 0 <= result.flops_padding
        assert result.flops_reused < costs.row_flops(model.config, result.trace).executed


def test_a_prompt_is_encoded_once_and_so_is_an_image_with_several_rows(
    small_model: Any, make_rows: Any, counted: Any
) -> None:
    model = small_model(streams="decomposed")
    [row] = make_rows(1)
    keyed = [replace(row, uid=f"q{n}", image_key="same", prompt_ids=PROMPTS[n % 3]) for n in range(6)]
    apart = [replace(row, image_key="") for row in keyed]
    exits, flops, results = NeverExit(), {}, {}
    for name, rows in (("keyed", keyed), ("apart", apart)):
        runner = runner_of(model, exits, group_size=8)
        results[name], flops[name] = counted(lambda rows=rows, runner=runner: run_all(runner, rows))
        assert_reference(model, rows, exits, results[name])
    regions = costs.row_regions(model.config, results["keyed"][0].trace)
    image = regions.stem + regions.image_layers
    assert [result.reused.image for result in results["keyed"]] == [0] + [image] * 5
    assert [bool(result.reused.text) for result in results["keyed"]] == [False] * 3 + [True] * 3
    assert all(not result.reused.image for result in results["apart"])
    cross = sum(r.reused.cross_kv for r in results["keyed"]) - sum(r.reused.cross_kv for r in results["apart"])
    assert flops["apart"] - flops["keyed"] == pytest.approx(5 * image + cross, rel=0.01)


def test_rows_that_a_policy_tells_apart_share_nothing(small_model: Any, make_rows: Any, random_script: Any) -> None:
    model, [row] = small_model(streams="decomposed"), make_rows(1)
    rows = [replace(row, uid=f"q{n}", image_key="same") for n in range(5)]
    exits = random_script(model, rows)
    results = run_all(runner_of(model, exits), rows)
    assert_reference(model, rows, exits, results)
    assert all(result.reused.image == result.reused.text == 0 for result in results)


def test_prompts_that_are_not_needed_make_room(small_model: Any, make_rows: Any) -> None:
    model = small_model(streams="decomposed", vocab_size=200)
    rows = [make_rows(1, prefix=f"p{n}", prompt_ids=(0, 5 + n, 2))[0] for n in range(KEPT_PROMPTS + 30)]
    runner = runner_of(model, NeverExit())
    results = run_all(runner, rows)
    assert_reference(model, rows[-3:], NeverExit(), results[-3:])
    assert runner.encoder.text is not None
    assert runner.encoder.text.slots.taken == KEPT_PROMPTS
    assert runner.encoder.main.slots.taken == 0


# How full groups are, and what is held.


def test_a_thousand_rows_run_in_full_groups_and_flat_memory(
    small_model: Any, make_rows: Any, random_script: Any
) -> None:
    model, rows = small_model(dtype="float32", streams="decomposed"), make_rows(1000, grid=(1, 1))
    exits = random_script(model, rows)
    runner = runner_of(model, exits, group_size=16, image_group_size=8, attention="numba")
    assert len(run_all(runner, rows)) == 1000
    assert runner.occupancy(DECODER).share > 0.95
    assert runner.occupancy(ENCODER).share > 0.95
    stages = runner.occupancies()
    assert {name.split()[0] for name in stages} == {"encoder", "decoder"}
    assert 0 < min(stages.values()) <= max(stages.values()) <= 1
    held = runner.bytes
    run_all(runner, [replace(row, uid=row.uid) for row in rows])
    assert runner.bytes == held, "stores grow with the rows that have passed"


def test_queries_of_several_lengths_about_shared_images_run_in_full_groups(small_model: Any, make_rows: Any) -> None:
    """Six rows to an image are one stream to fill a group with, and rows of other lengths none."""
    model = small_model(dtype="float32", streams="decomposed")
    answers = tuple(Candidate(label=str(token), ids=(token, 2)) for token in (7, 8, 9))
    rows = [
        replace(row, uid=f"{row.uid}/{query}", image_key=row.uid, candidates=answers)
        for number, row in enumerate(make_rows(160, grid=(1, 1)))
        for query in range(6)
        for row in [replace(row, prompt_ids=(0, *divmod(6 * number + query, 13), 3 + query, *(11,) * (query % 3), 2))]
    ]
    exits = CosineExit(
        {"image": (0.7, 0.7, 1), "text": (0.7, 0.7, 1), "decoder": (1,) * 4, "candidates": (0.7, 0.7, 0.7, 1)}
    )
    runner = runner_of(model, exits, group_size=16, image_group_size=8)
    results = run_all(runner, rows)
    depths = {(own.trace.image, own.trace.text, own.trace.decoder) for own in results if own.trace}
    assert len(depths) > 3, "rows part"
    assert runner.occupancy(ENCODER).share > 0.8
    assert runner.occupancy(SCORES).share > 0.8
    tight = runner_of(model, exits, group_size=16, image_group_size=8, memory_mib=1)
    tight._budget = 4 * row_bytes(model.config, 60, GENERATION.max_tokens, 4)
    again = run_all(tight, rows[:60])
    assert [own.label for own in again] == [own.label for own in results[:60]]
    assert tight.occupancy(SCORES).share < runner.occupancy(SCORES).share


def test_where_memory_cannot_hold_w_groups_are_thinner_and_rows_the_same(
    small_model: Any, make_rows: Any, random_script: Any
) -> None:
    model, rows = small_model(dtype="float64", max_position_embeddings=600), make_rows(60, grid=(1, 1))
    exits, generation = random_script(model, rows), GenerationConfig(max_tokens=500)
    script = ScriptedExit({row.uid: Depths(1, 1, (1, 2, 4)) for row in rows})
    runner = runner_of(model, script, generation, group_size=16, memory_mib=4)
    assert 1 < runner.rows_in_decoder < runner._wanted
    del exits
    short = GenerationConfig(max_tokens=4)
    tight = runner_of(model, script, short, group_size=16, rows_in_flight=3)
    results = run_all(tight, rows[:12])
    assert_reference(model, rows[:12], script, results, short)
    assert tight.occupancy(DECODER).share < 0.25


@pytest.mark.parametrize("failure", [MemoryError, torch.OutOfMemoryError])
def test_out_of_memory_shrinks_the_group_for_good(small_model: Any, make_rows: Any, failure: type[Exception]) -> None:
    model, rows = small_model(), make_rows(40)
    sizes = []

    class Tight(NeverExit):
        row_dependent = True

        def may_exit(self, stage: Any, layer: int, step: int) -> bool:
            return True

        def decide(self, stage: Any, layer: int, step: int, uids: Any, before: Any, after: Any) -> torch.Tensor:
            if stage == "decoder":
                sizes.append(len(uids))
                if len(uids) > 4:
                    raise failure("too many rows")
            return super().decide(stage, layer, step, uids, before, after)

    results = run_all(runner_of(model, Tight(), group_size=16), rows)
    assert all(result.error is None for result in results)
    assert max(sizes) == 16
    assert sum(size > 4 for size in sizes) <= 2 * 4 * 3, "a stage goes on trying groups that do not fit"


def test_rows_with_candidates_make_no_room_in_the_decoder(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), mixed_rows(make_rows, 24)
    runner = runner_of(model, NeverExit(), rows_in_flight=2)
    results: dict[int, RowResult] = {}
    coming = list(enumerate(rows))
    while coming or runner.busy:
        while coming and runner.room():
            runner.admit(*coming.pop(0))
        results |= dict(runner.step(held_back=bool(coming)))
        assert runner.decoder.in_flight <= 2
    assert_reference(model, rows, NeverExit(), [results[ticket] for ticket in range(24)])


def test_a_row_whose_prompt_cannot_be_taken_in_is_answered_once(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(6)
    too_long = (0, *[5] * model.config.max_position_embeddings, 6, 2)
    rows[2] = replace(rows[2], prompt_ids=too_long)
    runner = runner_of(model, NeverExit())
    results = run_all(runner, rows)
    assert [result.error.code if result.error else None for result in results] == [None, None, "model_error"] + [
        None
    ] * 3
    kept = [0, 1, 3, 4, 5]
    assert_reference(model, [rows[n] for n in kept], NeverExit(), [results[n] for n in kept])
    assert runner.encoder.main.slots.taken == 0


def test_a_row_at_fault_in_the_decoder_is_alone(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(), make_rows(9)
    bad = rows[4].uid

    class Faulty(NeverExit):
        row_dependent = True

        def may_exit(self, stage: Any, layer: int, step: int) -> bool:
            return stage == "decoder"

        def decide(self, stage: Any, layer: int, step: int, uids: Any, before: Any, after: Any) -> torch.Tensor:
            if bad in uids and layer == 2 and step == 1:
                raise ValueError("no")
            return super().decide(stage, layer, step, uids, before, after)

    results = run_all(runner_of(model, Faulty(), group_size=8), rows)
    assert [result.error.code if result.error else None for result in results] == [
        "model_error" if row.uid == bad else None for row in rows
    ]
    kept = [number for number, row in enumerate(rows) if row.uid != bad]
    plain = CosineExit({"joint": [1.0] * 3, "decoder": [1.0] * 4})
    for number in kept:
        alone = reference.run_row(model, rows[number], plain, GENERATION)
        assert results[number].tokens == alone.tokens


def test_an_image_at_fault_fails_all_rows_about_it(small_model: Any, make_rows: Any) -> None:
    model = copy.deepcopy(small_model(streams="decomposed"))

    def spoil(module: Any, inputs: Any) -> None:
        if (inputs[0] == 1).flatten(1).all(dim=1).any():
            raise RuntimeError("cannot look at white")

    model.encoder.embed_images.register_forward_pre_hook(spoil)
    rows = make_rows(5)
    white = np.full_like(rows[0].pixels, 255)
    rows[1:4] = [
        replace(row, pixels=white, image_key="white", prompt_ids=PROMPTS[n]) for n, row in enumerate(rows[1:4])
    ]
    runner = runner_of(model, NeverExit())
    results = run_all(runner, rows)
    assert [result.error is not None for result in results] == [False, True, True, True, False]
    assert_reference(model, [rows[0], rows[4]], NeverExit(), [results[0], results[4]])
    assert runner.encoder.main.slots.taken == 0
