"""Rows and rates for a claim, and that such a rate really gives so many rows."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.audit_plan import audit_plan, parse_share, rate_for
from mue_model.config import ConfigError


@pytest.mark.parametrize(("text", "share"), [("0.5pp", 0.005), ("0.5 pp", 0.005), ("2%", 0.02), ("0.01", 0.01)])
def test_shares_are_given_in_points_or_as_numbers(text: str, share: float) -> None:
    assert parse_share(text, option="--margin") == pytest.approx(share)


@pytest.mark.parametrize("text", ["half", "1.5", "150pp", "-1pp", "nan", ""])
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a share such as 0\.5pp"):
        parse_share(text, option="--margin")


def test_the_nearer_the_truth_to_the_margin_the_more_rows() -> None:
    found = audit_plan(0.005, power=0.9, rows=1_000_000)
    rows = [need.rows for need in found.needs]
    assert rows[0] == 598
    assert rows == sorted(rows)
    assert [need.truth for need in found.needs] == pytest.approx([0, 0.0005, 0.00125, 0.0025])
    assert all(need.enough and need.rate is not None for need in found.needs)


def test_a_job_that_is_too_small_is_told_so() -> None:
    [need] = audit_plan(0.005, power=0.9, truth=0.0, rows=500).needs
    assert (need.enough, need.rate) == (False, 1.0)


def test_a_rate_gives_the_rows_needed_nearly_always() -> None:
    rng = np.random.default_rng(1)
    for needed, rows in ((598, 100_000), (100, 1000), (5000, 10**7)):
        rate = rate_for(needed, rows)
        chosen = rng.binomial(rows, rate, size=4000)
        assert (chosen < needed).mean() <= 0.004
        assert rate * rows < 1.5 * needed


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"margin": 0.0, "power": 0.9}, "must lie between 0 and 1"),
        ({"margin": 0.01, "power": 1.0}, "must lie between 0 and 1"),
        ({"margin": 0.01, "power": 0.9, "truth": 0.01}, "no number of rows could show it"),
    ],
)
def test_claims_that_cannot_be_shown_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        audit_plan(**settings)
