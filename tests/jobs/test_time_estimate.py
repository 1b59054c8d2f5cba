"""Time and cost from what a sample took."""

from __future__ import annotations

import pytest

from jobs.time_estimate import START_S, Speeds, estimate_time

SPEEDS = Speeds(read_ms=1.0, decode_ms=10.0, rows_per_s=50.0, load_s=5.0)


def test_the_slowest_stage_bounds_the_job() -> None:
    found = estimate_time(36_000, SPEEDS, actors=1, cores=4, on_gpu=False, price_per_hour=2.0)
    assert found.stages == {"read": 4000.0, "decode": 200.0, "answer": 50.0}
    assert found.bound_by == "answer"
    assert found.wall_s == pytest.approx(START_S + 5 + 720)
    assert found.device_hours == pytest.approx(found.wall_s / 3600 * 4)
    assert found.cost == pytest.approx(found.wall_s / 3600 * 2)


def test_every_pool_of_actors_starts_and_loads() -> None:
    """A job of many shards is a row of segments, each with actors of its own."""
    one, three = (
        estimate_time(36_000, SPEEDS, actors=1, cores=4, on_gpu=False, price_per_hour=None, pools=pools).wall_s
        for pools in (1, 3)
    )
    assert one is not None
    assert three == pytest.approx(one + 2 * (START_S + 5))


def test_actors_on_gpus_add_up_until_decoding_bounds_them() -> None:
    one = estimate_time(36_000, SPEEDS, actors=1, cores=4, on_gpu=True, price_per_hour=None)
    many = estimate_time(36_000, SPEEDS, actors=16, cores=4, on_gpu=True, price_per_hour=None)
    assert (one.bound_by, many.bound_by) == ("answer", "decode")
    assert many.stages["answer"] == 800.0
    assert many.wall_s == pytest.approx(START_S + 5 + 90)
    assert many.device_hours == pytest.approx(many.wall_s / 3600 * 16)
    assert (many.device, many.cost) == ("GPU", None)


def test_actors_on_one_cpu_do_not_add_up() -> None:
    times = {estimate_time(100, SPEEDS, actors=n, cores=4, on_gpu=False, price_per_hour=None).wall_s for n in (1, 8)}
    assert len(times) == 1


def test_nothing_answered_nothing_estimated() -> None:
    speeds = Speeds(read_ms=1.0, decode_ms=None, rows_per_s=None, load_s=5.0)
    found = estimate_time(100, speeds, actors=1, cores=2, on_gpu=False, price_per_hour=3.0)
    assert (found.wall_s, found.cost, found.device_hours) == (None, None, None)
    assert found.stages == {"read": 2000.0}
