from __future__ import annotations

from jobs.measured_time import measured_time


def test_attempts_add_up_and_killed_ones_make_it_a_lower_bound() -> None:
    found = measured_time({"attempts": [{"wall_s": 10.5}, {"exit_code": None}, {"wall_s": 2}]})
    assert (found.seconds, found.attempts, found.attempts_without_time) == (12.5, 3, 1)
    assert found.is_lower_bound


def test_nothing_measured_is_not_zero() -> None:
    for run in ({}, {"attempts": []}, {"attempts": [{"wall_s": None}]}, {"attempts": [{"wall_s": "fast"}]}):
        assert measured_time(run).seconds is None
        assert not measured_time(run).is_lower_bound
