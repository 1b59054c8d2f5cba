"""Bounds of a share against published and exact values; sample sizes against the binomial itself."""

from __future__ import annotations

import math

import pytest

from jobs.shares import clopper_pearson, lower_bound, rows_for, upper_bound


@pytest.mark.parametrize(("rows", "percent"), [(300, 1.22), (1_000, 0.37), (3_000, 0.12), (10_000, 0.037)])
def test_no_disagreement_in_so_many_rows_bounds_the_share(rows: int, percent: float) -> None:
    found = clopper_pearson(0, rows)
    assert (found.estimate, found.low) == (0, 0)
    assert round(found.high * 100, len(str(percent)) - 2) == percent
    assert found.high == pytest.approx(1 - 0.025 ** (1 / rows))


def test_exact_intervals_are_the_textbook_s() -> None:
    # Clopper-Pearson of 10 in 100, as in any table of it.
    found = clopper_pearson(10, 100)
    assert (found.low, found.high) == (pytest.approx(0.0490, abs=5e-5), pytest.approx(0.1762, abs=5e-5))
    assert clopper_pearson(7, 7).high == 1
    assert clopper_pearson(7, 7).low == pytest.approx(0.025 ** (1 / 7))


def test_the_bound_is_where_the_binomial_tail_is_the_error_allowed() -> None:
    bound = upper_bound(2, 50)
    tail = sum(math.comb(50, seen) * bound**seen * (1 - bound) ** (50 - seen) for seen in range(3))
    assert tail == pytest.approx(0.05)
    assert lower_bound(48, 50) == pytest.approx(1 - bound)


@pytest.mark.parametrize(("seen", "of"), [(-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_is_refused(seen: float, of: float) -> None:
    with pytest.raises(ValueError, match="is no share"):
        clopper_pearson(seen, of)


def test_without_disagreement_the_rows_needed_follow_from_the_confidence_alone() -> None:
    # (1 - .005)^598 = .0499, (1 - .005)^597 = .0502
    assert rows_for(0.005, truth=0.0, power=0.9) == 598


def test_so_many_rows_have_the_power_and_a_tenth_fewer_have_not() -> None:
    margin, truth = 0.05, 0.02
    rows = rows_for(margin, truth=truth, power=0.9)
    for count, holds in ((rows, True), (round(0.9 * rows), False)):
        accepted = [seen for seen in range(count) if upper_bound(seen, count) < margin]
        power = sum(math.comb(count, seen) * truth**seen * (1 - truth) ** (count - seen) for seen in accepted)
        assert (power >= 0.9) is holds, (count, power)
    assert rows > rows_for(margin, truth=0.01, power=0.9) > rows_for(margin, truth=0.0, power=0.9)


def test_a_truth_that_is_not_below_the_margin_can_never_be_shown() -> None:
    with pytest.raises(ValueError, match="must be smaller"):
        rows_for(0.01, truth=0.01)
