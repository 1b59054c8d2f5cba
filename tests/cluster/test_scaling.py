"""The scaling rule: within its limits, monotonic, at rest once it is followed, and never flapping."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scaling import SLACK, ScalingLimits, actors_wanted

limits = st.tuples(st.integers(1, 500), st.integers(0, 500)).map(
    lambda bounds: ScalingLimits(min_actors=bounds[0], max_actors=bounds[0] + bounds[1])
)
backlogs = st.integers(0, 10**12)
speeds = st.floats(1e-300, 1e9)
targets = st.floats(0.001, 1e9)
pools = st.integers(0, 2000)


def wanted(backlog: int, speed: float | None, target: float, now: int, bounds: ScalingLimits) -> int:
    return actors_wanted(
        backlog_rows=backlog, rows_per_s_per_actor=speed, target_s=target, actors_now=now, limits=bounds
    )


@given(backlogs, speeds | st.none() | st.just(0.0), targets, pools, limits)
def test_never_leaves_the_limits(
    backlog: int, speed: float | None, target: float, now: int, bounds: ScalingLimits
) -> None:
    assert bounds.min_actors <= wanted(backlog, speed, target, now, bounds) <= bounds.max_actors


@given(backlogs, backlogs, speeds, targets, pools, limits)
def test_more_left_never_wants_fewer(
    some: int, more: int, speed: float, target: float, now: int, bounds: ScalingLimits
) -> None:
    low, high = sorted((some, more))
    assert wanted(low, speed, target, now, bounds) <= wanted(high, speed, target, now, bounds)


@given(backlogs, speeds, targets, pools, limits)
def test_following_it_comes_to_rest(backlog: int, speed: float, target: float, now: int, bounds: ScalingLimits) -> None:
    seen = [now]
    for _ in range(40):
        seen.append(wanted(backlog, speed, target, seen[-1], bounds))
    assert seen[-1] == seen[-2], seen
    ups = [b > a for a, b in pairwise(seen[1:]) if a != b]
    assert len(set(ups)) <= 1, f"it goes one way: {seen}"


@given(st.integers(1, 10**9), st.floats(1e-3, 1e6), st.floats(1, 1e6), limits)
def test_at_rest_the_backlog_is_done_in_time_or_the_pool_is_as_large_as_may_be(
    backlog: int, speed: float, target: float, bounds: ScalingLimits
) -> None:
    now = bounds.min_actors
    for _ in range(40):
        now = wanted(backlog, speed, target, now, bounds)
    assert now == bounds.max_actors or backlog / (now * speed) <= target * 1.0001


@given(st.integers(2, 400), st.floats(-0.9, 0.9))
def test_noise_in_the_measured_speed_changes_nothing_once_a_pool_suffices(now: int, noise: float) -> None:
    bounds = ScalingLimits(min_actors=1, max_actors=1000)
    speed = 10 * (1 + noise * SLACK / 2)
    # A pool that has a tenth to spare.
    backlog = int(now * 10 * 100 * (1 - SLACK / 2) * 0.98)
    assert wanted(backlog, speed, 100, now, bounds) in (now, now + 1)
    if noise >= 0:
        assert wanted(backlog, speed, 100, now, bounds) == now


def test_grows_stepwise_and_shrinks_when_little_is_left() -> None:
    bounds = ScalingLimits(min_actors=1, max_actors=64)
    assert wanted(10**6, 1.0, 100, 4, bounds) == 8, "few actors say little about very many"
    assert wanted(10**6, None, 100, 4, bounds) == 4, "nothing is known yet"
    assert wanted(100, 1.0, 100, 8, bounds) == 1
    assert wanted(700, 1.0, 100, 8, bounds) == 8, "seven would do, but not by much"
    assert wanted(0, 1.0, 100, 8, bounds) == 1


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="fewest"):
        ScalingLimits(min_actors=3, max_actors=2)
    with pytest.raises(ValueError, match="step_up"):
        ScalingLimits(min_actors=1, max_actors=2, step_up=1.0)
    with pytest.raises(ValueError, match="negative"):
        wanted(-1, 1.0, 1.0, 1, ScalingLimits(min_actors=1, max_actors=2))


def test_numbers_that_are_no_floating_point_numbers_are_answered_too() -> None:
    bounds = ScalingLimits(min_actors=1, max_actors=10**9, step_up=1e308)
    for backlog, speed, target, now in (
        (10**400, 1.0, 1.0, 7),
        (10**400, 1e-320, 1e-320, 10**400),
        (1, 1e308, 1e308, 1),
    ):
        found = actors_wanted(
            backlog_rows=backlog, rows_per_s_per_actor=speed, target_s=target, actors_now=now, limits=bounds
        )
        assert found == (10**9 if backlog > 1 else 1)
    for settings in ({"max_actors": 10**400}, {"max_actors": 8, "step_up": float("inf")}):
        with pytest.raises(ValueError, match=r"actors|step_up"):
            ScalingLimits(min_actors=1, **settings)
