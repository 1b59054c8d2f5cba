"""The engine: any rows, in any calls, from any threads, get the reference's results; what goes wrong stays small."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mue_model import reference
from mue_model.config import EngineConfig, GenerationConfig, KvPolicy
from mue_model.engine.engine import Detokenize, Engine, EngineStopped
from mue_model.exits import Depths, ExitPolicy, NeverExit, ScriptedExit, Stage
from mue_model.loading import make_runner
from mue_model.model import MueModel
from mue_model.rows import RowInput, RowResult

GENERATION = GenerationConfig(max_tokens=4)
PATIENCE_S = 60
GRIDS = [(1, 2), (2, 2), (3, 1)]
PROMPTS = [(0, 5, 2), (0, 9, 7, 11, 2)]
lost_thread = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


both_ways = pytest.mark.parametrize("policy", ["regroup", "compact"])


@contextmanager
def engine_of(
    model: MueModel,
    exits: ExitPolicy,
    group_size: int = 8,
    detokenize: Detokenize | None = None,
    kv_policy: KvPolicy = "propagate",
    **settings: Any,
) -> Iterator[Engine]:
    config = EngineConfig(group_size=group_size, image_group_size=group_size, **settings)
    engine = Engine(make_runner(model, exits, GENERATION, kv_policy, config), detokenize)
    try:
        yield engine
    finally:
        engine.close()


def results_of(*futures: Future[list[RowResult]]) -> list[RowResult]:
    return [result for future in futures for result in future.result(PATIENCE_S)]


def assert_answered(
    model: MueModel,
    rows: Sequence[RowInput],
    exits: ExitPolicy,
    results: Sequence[RowResult],
    kv_policy: Any = "propagate",
) -> None:
    """The reference's answers, in the rows' order."""
    assert [result.uid for result in results] == [row.uid for row in rows]
    for row, result in zip(rows, results, strict=True):
        alone = reference.run_row(model, row, exits, GENERATION, kv_policy)
        assert result.error is None
        assert (result.tokens, result.finish_reason, result.trace) == (alone.tokens, alone.finish_reason, alone.trace)


class Checked(NeverExit):
    """Full depth; asks about every image and decoder layer, so that `check` can raise for a group's uids."""

    row_dependent = True

    def __init__(self, check: Callable[[Sequence[str], Tensor], None] = lambda uids, after: None) -> None:
        self.check = check

    def may_exit(self, stage: Stage, layer: int, step: int) -> bool:
        return stage != "text"

    def decide(self, stage: Stage, layer: int, step: int, uids: Sequence[str], before: Tensor, after: Tensor) -> Tensor:
        self.check(uids, after)
        return super().decide(stage, layer, step, uids, before, after)


class Gate(Checked):
    """Full depth; holds the engine inside its first group until opened."""

    def __init__(self) -> None:
        super().__init__(lambda uids, after: self.hold())
        self.entered, self.opened = threading.Event(), threading.Event()

    def hold(self) -> None:
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)


def raising(error: BaseException, *, when: Callable[[Sequence[str]], bool]) -> Checked:
    """A policy that raises `error` in groups for whose uids `when` holds."""

    def check(uids: Sequence[str], after: Tensor) -> None:
        if when(uids):
            raise error

    return Checked(check)


# Parity ladder 1: mechanism without numerics.

ROWS = st.tuples(
    st.sampled_from(range(len(GRIDS))),
    st.sampled_from(range(len(PROMPTS))),
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
)
MIXED = [[(n % 3, n % 2, 1 + n % 3, 3 - n % 3, [1 + n % 4, 4, 1, 2 + n % 2]) for n in range(k, k + 5)] for k in (0, 3)]


def test_random_schedules_in_random_calls_are_the_reference_s_rows(small_model: Any, make_rows: Any) -> None:
    seen: Counter[str] = Counter()

    @settings(deadline=None, max_examples=25)
    @given(
        calls=st.lists(st.lists(ROWS, max_size=5), min_size=1, max_size=3),
        streams=st.sampled_from(["joint", "decomposed"]),
        kv_policy=st.sampled_from(["propagate", "holes"]),
        policy=st.sampled_from(["regroup", "compact", "wait_all", "mask"]),
        group_size=st.integers(1, 6),
    )
    @example(calls=MIXED, streams="joint", kv_policy="holes", policy="compact", group_size=3)
    @example(calls=MIXED, streams="decomposed", kv_policy="propagate", policy="wait_all", group_size=4)
    @example(calls=MIXED, streams="decomposed", kv_policy="propagate", policy="mask", group_size=4)
    @example(calls=MIXED, streams="decomposed", kv_policy="propagate", policy="regroup", group_size=2)
    @example(calls=MIXED, streams="joint", kv_policy="holes", policy="regroup", group_size=3)
    def check(calls: list[list[Any]], streams: str, kv_policy: Any, policy: Any, group_size: int) -> None:
        model, depths, submitted = small_model(streams=streams), {}, []
        for number, call in enumerate(calls):
            rows = []
            for place, (grid, prompt, image, text, decoder) in enumerate(call):
                prefix = f"{number}-{place}"
                (row,) = make_rows(1, prefix=prefix, grid=GRIDS[grid], prompt_ids=PROMPTS[prompt])
                depths[row.uid] = Depths(image, text, tuple(decoder))
                rows.append(row)
            submitted.append(rows)
        exits = ScriptedExit(depths)
        with (
            engine_of(model, exits, group_size, kv_policy=kv_policy, policy=policy) as engine,
            ThreadPoolExecutor(len(submitted)) as threads,
        ):
            answered = [f.result(PATIENCE_S) for f in threads.map(engine.submit, submitted)]
        for rows, results in zip(submitted, answered, strict=True):
            assert_answered(model, rows, exits, results, kv_policy)
        rows, results = [*chain(*submitted)], [*chain(*answered)]
        groups = {result.group_uids for result in results}
        assert all(len(group) <= group_size for group in groups)
        if policy != "regroup":
            assert Counter(uid for group in groups for uid in group) == Counter(row.uid for row in rows)
            geometry = {row.uid: (row.pixels.shape, len(row.prompt_ids)) for row in rows}
            assert all(len({geometry[uid] for uid in group}) == 1 for group in groups)
        seen.update({f"depth {depth}" for result in results for depth in result.trace.decoder})
        seen.update({f"image {result.trace.image}" for result in results})
        seen.update({f"group of {len(group)}" for group in groups})

    check()
    assert {f"depth {n}" for n in (1, 2, 3, 4)} | {f"image {n}" for n in (1, 2, 3)} <= seen.keys()
    assert "group of 2" in seen


@both_ways
def test_many_threads_get_their_own_rows_in_order(
    small_model: Any, make_rows: Any, quantile_exits: Any, policy: str
) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(24, grid=(1, 2))
    exits = quantile_exits(model, rows[:8], 0.6)
    shares = [rows[start::6] for start in range(6)]
    barrier = threading.Barrier(6)
    with engine_of(model, exits, group_size=5, policy=policy) as engine, ThreadPoolExecutor(6) as threads:

        def call(share: list[RowInput]) -> list[RowResult]:
            barrier.wait(PATIENCE_S)
            return engine.submit(share).result(PATIENCE_S)

        answered = list(threads.map(call, shares))
    for share, results in zip(shares, answered, strict=True):
        assert_answered(model, share, exits, results)
    results = [*chain(*answered)]
    assert len({result.trace.image for result in results}) > 1
    assert len({depth for result in results for depth in result.trace.decoder}) > 2


# Who shares a batch.


def test_rows_of_two_calls_share_a_group_and_other_geometries_do_not(small_model: Any, make_rows: Any) -> None:
    model, gate = small_model(), Gate()
    (first,), a, b = make_rows(1, prefix="first"), make_rows(2, prefix="a"), make_rows(2, prefix="b")
    narrow = make_rows(1, prefix="narrow", grid=(1, 2))
    with engine_of(model, gate, group_size=3, policy="compact") as engine:
        futures = [engine.submit([first])]
        assert gate.entered.wait(PATIENCE_S)
        futures += [engine.submit(a), engine.submit(narrow), engine.submit(b)]
        gate.opened.set()
        results = {result.uid: result for result in results_of(*futures)}
    together = (a[0].uid, a[1].uid, b[0].uid)
    assert [results[uid].group_uids for uid in together] == [together] * 3
    assert results[narrow[0].uid].group_uids == (narrow[0].uid,)
    assert results[b[1].uid].group_uids == (b[1].uid,)
    assert results[first.uid].group_uids == (first.uid,)
    assert all(result.queue_ms >= 0 < result.infer_ms for result in results.values())


def test_a_group_of_tokens_holds_rows_of_two_calls(small_model: Any, make_rows: Any) -> None:
    model, gate = small_model(), Gate()
    calls = [make_rows(2, prefix="a"), make_rows(2, prefix="b", grid=(1, 2)), make_rows(1, prefix="c")]
    with engine_of(model, gate, group_size=3) as engine:
        futures = [engine.submit(calls[0])]
        assert gate.entered.wait(PATIENCE_S)
        futures += [engine.submit(call) for call in calls[1:]]
        gate.opened.set()
        results = results_of(*futures)
    assert_answered(model, [*chain(*calls)], Checked(), results)
    shared = [{uid.split("/")[0] for uid in result.group_uids} for result in results]
    assert max(map(len, shared)) > 1
    assert all(result.uid in result.group_uids for result in results)


def test_a_lone_row_is_answered_without_waiting_for_others(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(), make_rows(1)
    with engine_of(model, NeverExit(), group_size=32) as engine:
        assert_answered(model, rows, NeverExit(), results_of(engine.submit(rows)))


def test_an_empty_call_is_answered_at_once(small_model: Any) -> None:
    gate = Gate()
    with engine_of(small_model(), gate) as engine:
        assert engine.submit([]).result(0) == []


def test_texts_come_from_the_tokens(small_model: Any, make_rows: Any) -> None:
    rows = make_rows(3)
    with engine_of(small_model(), NeverExit(), detokenize=lambda tokens: " ".join(map(str, tokens))) as engine:
        for result in results_of(engine.submit(rows)):
            assert result.text == " ".join(map(str, result.tokens))


# What goes wrong stays small.


@both_ways
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_row_that_raises_is_an_error_and_its_neighbours_are_answered(
    small_model: Any, make_rows: Any, place: int, policy: str
) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(7)
    bad = rows[place].uid
    exits = raising(ValueError("cannot judge this row"), when=lambda uids: bad in uids)
    with engine_of(model, exits, policy=policy) as engine:
        results = results_of(engine.submit(rows))
        assert engine.alive
        assert_answered(model, rows[place - 1 : place], Checked(), results_of(engine.submit(rows[place - 1 : place])))
    error = results[place].error
    assert error is not None
    assert (error.code, error.message) == ("model_error", "ValueError: cannot judge this row")
    assert results[place].uid == bad
    kept = [number for number in range(7) if number != place]
    assert_answered(model, [rows[n] for n in kept], Checked(), [results[n] for n in kept])


def test_a_text_that_cannot_be_made_is_an_error_of_its_row(small_model: Any, make_rows: Any) -> None:
    model, rows = small_model(streams="decomposed"), make_rows(6)
    bad = reference.run_row(model, rows[2], NeverExit(), GENERATION).tokens

    def detokenize(tokens: Sequence[int]) -> str:
        if tuple(tokens) == bad:
            raise KeyError("no such token")
        return "fine"

    with engine_of(model, NeverExit(), detokenize=detokenize) as engine:
        results = results_of(engine.submit(rows))
    assert results[2].error is not None
    assert results[2].error.code == "model_error"
    for result in results:
        assert result.text == (None if result.error else "fine")
    assert any(result.error is None for result in results)


@both_ways
def test_a_row_that_is_not_finite_is_an_error_of_its_own(
    small_model: Any, make_rows: Any, not_finite_on_white: Any, policy: str
) -> None:
    model, rows = small_model(), make_rows(4)
    spoilt = replace(rows[1], pixels=np.full_like(rows[1].pixels, 255))
    spoiling = not_finite_on_white(model)
    with engine_of(spoiling, NeverExit(), detokenize=lambda _: "text", policy=policy) as engine:
        results = results_of(engine.submit([rows[0], spoilt, *rows[2:]]))
    assert results[1].error is not None
    assert (results[1].error.code, results[1].text, results[1].tokens) == ("nonfinite", None, ())
    assert_answered(model, [rows[0], *rows[2:]], NeverExit(), [results[0], *results[2:]])


@both_ways
@pytest.mark.parametrize("failure", [torch.OutOfMemoryError, MemoryError])
def test_out_of_memory_halves_the_group(
    small_model: Any, make_rows: Any, failure: type[Exception], policy: str
) -> None:
    model, rows = small_model(), make_rows(7)
    exits = raising(failure("too many rows"), when=lambda uids: len(uids) > 2)
    with engine_of(model, exits, policy=policy) as engine:
        results = results_of(engine.submit(rows))
    assert_answered(model, rows, Checked(), results)
    if policy == "compact":
        assert {len(result.group_uids) for result in results} == {1, 2}


@both_ways
def test_a_row_too_large_alone_is_out_of_memory(small_model: Any, make_rows: Any, policy: str) -> None:
    rows = make_rows(3)
    exits = raising(torch.OutOfMemoryError("no room"), when=lambda uids: rows[1].uid in uids)
    with engine_of(small_model(), exits, policy=policy) as engine:
        results = results_of(engine.submit(rows))
    assert [result.error.code if result.error else None for result in results] == [None, "out_of_memory", None]


def test_a_failed_group_s_memory_is_free_when_its_halves_run(small_model: Any, make_rows: Any) -> None:
    failed: list[weakref.ref[Tensor]] = []
    alive_later: list[bool] = []

    def check(uids: Sequence[str], after: Tensor) -> None:
        alive_later.extend(state() is not None for state in failed)
        if len(uids) > 1:
            failed.append(weakref.ref(after))
            raise torch.OutOfMemoryError("too many rows")

    with engine_of(small_model(), Checked(check), policy="compact") as engine:
        assert all(result.error is None for result in results_of(engine.submit(make_rows(4))))
    assert len(failed) == 3
    assert alive_later
    assert not any(alive_later)


def test_a_call_cannot_be_withdrawn_and_trying_harms_nobody(small_model: Any, make_rows: Any) -> None:
    model, gate, rows = small_model(), Gate(), make_rows(3)
    with engine_of(model, gate) as engine:
        futures = [engine.submit(rows[:2]), engine.submit(rows[2:])]
        assert not any(future.cancel() for future in futures)
        gate.opened.set()
        assert_answered(model, rows, Checked(), results_of(*futures))
        assert engine.alive


# Its end.


@both_ways
def test_close_answers_what_was_submitted_and_accepts_no_more(small_model: Any, make_rows: Any, policy: str) -> None:
    model, rows = small_model(), make_rows(9)
    engine = Engine(make_runner(model, NeverExit(), GENERATION, "propagate", EngineConfig(group_size=2, policy=policy)))
    futures = [engine.submit(rows[start : start + 3]) for start in (0, 3, 6)]
    engine.close()
    assert all(future.done() for future in futures)
    assert_answered(model, rows, NeverExit(), results_of(*futures))
    assert not engine.alive
    with pytest.raises(EngineStopped, match="closed"):
        engine.submit(rows)
    engine.close()


@lost_thread
@both_ways
@pytest.mark.parametrize("death", [torch.AcceleratorError("device lost"), SystemExit(3)], ids=["device", "exit"])
def test_every_waiting_call_learns_of_the_engine_s_death(
    small_model: Any, make_rows: Any, death: BaseException, policy: str
) -> None:
    gate = Gate()

    def check(uids: Sequence[str], after: Tensor) -> None:
        gate.hold()
        raise death

    config = EngineConfig(group_size=2, policy=policy)
    engine = Engine(make_runner(small_model(), Checked(check), GENERATION, "propagate", config))
    futures = [engine.submit(make_rows(3, prefix="a"))]
    assert gate.entered.wait(PATIENCE_S)
    futures += [engine.submit(make_rows(2, prefix="b")), engine.submit(make_rows(1, prefix="c", grid=(1, 2)))]
    gate.opened.set()
    for future in futures:
        with pytest.raises(EngineStopped, match=type(death).__name__):
            future.result(PATIENCE_S)
    engine.close()
    assert not engine.alive
    with pytest.raises(EngineStopped) as stopped:
        engine.submit(make_rows(1))
    assert stopped.value.__cause__ is death


@lost_thread
def test_a_death_leaves_delivered_calls_alone(small_model: Any, make_rows: Any) -> None:
    (bad,), rows = make_rows(1, prefix="bad"), make_rows(2)
    exits = raising(torch.AcceleratorError("device lost"), when=lambda uids: bad.uid in uids)
    config = EngineConfig(group_size=2)
    engine = Engine(make_runner(small_model(), exits, GENERATION, "propagate", config))
    answered = engine.submit(rows).result(PATIENCE_S)
    with pytest.raises(EngineStopped):
        engine.submit([bad]).result(PATIENCE_S)
    assert [result.error for result in answered] == [None, None]
    engine.close()


@both_ways
def test_a_row_that_follows_goes_ahead_of_those_that_wait(policy: Any, small_model: Any, make_rows: Any) -> None:
    gate, order = Gate(), list[str]()

    def note_and_hold(uids: Sequence[str], after: Tensor) -> None:
        order.extend(uid for uid in uids if uid not in order)
        gate.hold()

    gate.check = note_and_hold
    (first,), (second,), waiting = (make_rows(n, prefix=p) for n, p in ((1, "first"), (1, "second"), (30, "waiting")))
    with engine_of(small_model(), gate, group_size=1, policy=policy) as engine:
        followed = engine.submit([first], follow=lambda row, result: second)
        assert gate.entered.wait(PATIENCE_S)
        others = engine.submit(waiting)
        gate.opened.set()
        assert [result.uid for result in followed.result(PATIENCE_S)] == [first.uid, second.uid]
        assert [result.uid for result in others.result(PATIENCE_S)] == [row.uid for row in waiting]
    assert order.index(second.uid) < order.index(waiting[-1].uid)


@lost_thread
def test_a_call_whose_follower_cannot_be_told_fails_and_does_not_wait(small_model: Any, make_rows: Any) -> None:
    def broken(row: RowInput, result: RowResult) -> RowInput | None:
        raise KeyError("no such stratum")

    engine = Engine(make_runner(small_model(), NeverExit(), GENERATION, "propagate", EngineConfig(group_size=2)))
    with pytest.raises(EngineStopped, match="no such stratum"):
        engine.submit(make_rows(1), follow=broken).result(PATIENCE_S)
    engine.close()


@both_ways
def test_rows_that_follow_are_answered_behind_their_calls_own_and_are_not_followed(
    policy: Any, small_model: Any, make_rows: Any
) -> None:
    model, rows, again = small_model(streams="decomposed"), make_rows(7), make_rows(7, prefix="again")
    seen: list[tuple[str, str]] = []

    def every_other(row: RowInput, result: RowResult) -> RowInput | None:
        seen.append((row.uid, result.uid))
        place = [each.uid for each in rows].index(row.uid)
        return again[place] if place % 2 else None

    with engine_of(model, Checked(), policy=policy) as engine:
        plain, followed = engine.submit(rows), engine.submit(rows, follow=every_other)
        assert_answered(model, rows, Checked(), results_of(plain))
        assert_answered(model, [*rows, *again[1::2]], Checked(), results_of(followed))
    assert sorted(seen) == [(row.uid, row.uid) for row in rows]
