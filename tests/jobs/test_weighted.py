"""Intervals of weighted, clustered samples hold as often as they say: by simulation, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.shares import clopper_pearson
from jobs.weighted import Sample, positive_ratio_interval, ratio, ratio_interval, share_bound, share_interval, student

TRIALS = 300


def sample_of(weights: list[float], clusters: list[int]) -> Sample:
    return Sample(weights=np.array(weights), clusters=np.array(clusters))


def test_a_ratio_and_its_error_by_hand() -> None:
    sample = sample_of([2, 2, 1, 1], [0, 0, 1, 2])
    top, bottom = np.array([1.0, 0, 3, 2]), np.array([1.0, 1, 2, 2])
    # (2 + 0 + 3 + 2) / (2 + 2 + 2 + 2) = 7 / 8; cluster residuals 2 - 3.5, 3 - 1.75, 2 - 1.75
    residuals = (-1.5, 1.25, 0.25)
    expected = math.sqrt(3 / 2 * sum(each**2 for each in residuals)) / 8
    assert ratio(sample, top, bottom) == (pytest.approx(7 / 8), pytest.approx(expected))
    interval = ratio_interval(sample, top, bottom)
    assert interval.high - interval.estimate == pytest.approx(4.302653 * expected, rel=1e-5)


def test_student_s_quantiles_are_the_tables() -> None:
    assert [student(df) for df in (1, 9, math.inf)] == pytest.approx([12.7062, 2.26216, 1.95996], rel=1e-4)


def test_one_cluster_tells_nothing_about_how_much_they_differ() -> None:
    sample = sample_of([1, 1, 1], [0, 0, 0])
    assert math.isinf(ratio_interval(sample, np.array([1.0, 2, 3]), np.ones(3)).high)
    agreed = share_interval(sample, np.array([True, True, True]))
    assert (agreed.estimate, agreed.high) == (1, 1)
    assert agreed.low == pytest.approx(0.025)


def test_no_disagreement_is_bounded_by_clusters_not_by_rows() -> None:
    none = np.zeros(300, bool)
    alone = Sample(weights=np.full(300, 10.0), clusters=np.arange(300))
    assert share_interval(alone, none).high == pytest.approx(clopper_pearson(0, 300).high)
    sixes = Sample(weights=np.full(300, 10.0), clusters=np.arange(300) // 6)
    assert share_interval(sixes, none).high == pytest.approx(clopper_pearson(0, 50).high)
    unequal = Sample(weights=np.repeat([100.0, 1.0], 150), clusters=np.arange(300))
    assert share_interval(unequal, none).high > 1.8 * share_interval(alone, none).high


def test_a_first_disagreement_does_not_narrow_the_bound() -> None:
    images = np.arange(1000) // 5
    sample = Sample(weights=np.ones(1000), clusters=images)
    counts = [np.arange(1000) < differing for differing in range(12)]
    bounds = [share_bound(sample, has) for has in counts]
    assert bounds[0] == pytest.approx(0.0149, abs=1e-4)
    assert bounds == sorted(bounds)
    apart = [np.isin(np.arange(1000), 5 * np.arange(differing)) for differing in range(12)]
    bounds = [share_bound(sample, has) for has in apart]
    assert bounds == sorted(bounds)


def test_rows_of_a_shard_are_no_more_alike_than_those_of_an_image() -> None:
    shards, images = np.arange(3000) // 100, np.arange(3000) // 2
    sample = Sample(weights=np.ones(3000), clusters=shards, alike=images)
    assert share_interval(sample, np.zeros(3000, bool)).high == pytest.approx(clopper_pearson(0, 1500).high)
    one = share_interval(sample, np.arange(3000) == 0).high
    assert clopper_pearson(0, 1500).high < one < 3 * clopper_pearson(0, 1500).high


def rarely_drawn(rng: np.random.Generator) -> tuple[float, Sample, np.ndarray]:
    """A job of 200 images of five rows: in one image of a hundred all differ, elsewhere one row of 500."""
    images, each = 200, 5
    whole = np.repeat(rng.random(images) < 0.01, each)
    differs = whole | (rng.random(images * each) < 0.002)
    rates = np.where(rng.random(images * each) < 0.5, 0.6, 1.0)
    chosen = rng.random(images * each) < rates
    sample = Sample(weights=1 / rates[chosen], clusters=np.repeat(np.arange(images), each)[chosen])
    return 0.01 + 0.99 * 0.002, sample, differs[chosen]


def test_shares_of_rare_rows_that_come_together_are_covered() -> None:
    rng = np.random.default_rng(11)
    inside = bounded = few = 0
    for _ in range(TRIALS):
        truth, sample, differs = rarely_drawn(rng)
        found = share_interval(sample, differs)
        inside += found.low <= truth <= found.high
        bounded += truth <= share_bound(sample, differs)
        few += 0 < differs.sum() < 5
    assert inside / TRIALS >= 0.917
    assert bounded / TRIALS >= 0.917
    assert few > TRIALS / 10, "often a few rows of different images are all there is"


def drawn(rng: np.random.Generator, *, together: float) -> tuple[float, Sample, np.ndarray]:
    """A job of 1,500 images of four rows, shallow ones of which differ more often and are chosen less often.

    Returns the true share, and the rows chosen. `together`: how often a row does as the first one of its image.
    """
    images, each = 1500, 4
    shallow = rng.random(images) < 0.5
    chance = np.repeat(np.where(shallow, 0.08, 0.01), each)
    first = np.repeat(rng.random(images), each)
    own = rng.random(images * each)
    differs = np.where(rng.random(images * each) < together, first, own) < chance
    rates = np.where(np.repeat(shallow, each), 0.1, 0.3)
    chosen = rng.random(images * each) < rates
    sample = Sample(weights=1 / rates[chosen], clusters=np.repeat(np.arange(images), each)[chosen])
    return 0.5 * 0.08 + 0.5 * 0.01, sample, differs[chosen]


@pytest.mark.parametrize("together", [0.0, 0.8])
def test_shares_of_clustered_rows_with_unequal_rates_are_covered(together: float) -> None:
    rng = np.random.default_rng(7)
    inside = bounded = 0
    means = []
    for _ in range(TRIALS):
        truth, sample, differs = drawn(rng, together=together)
        found = share_interval(sample, differs)
        inside += found.low <= truth <= found.high
        bounded += truth <= share_bound(sample, differs)
        means.append(found.estimate)
    # Binomial 99 % around .95 of 300 reaches down to .917.
    assert inside / TRIALS >= 0.917
    assert bounded / TRIALS >= 0.917
    assert np.mean(means) == pytest.approx(truth, abs=4 * np.std(means) / math.sqrt(TRIALS)), "unbiased"


def test_without_the_weights_the_estimate_would_be_wrong() -> None:
    rng = np.random.default_rng(7)
    truth, sample, differs = drawn(rng, together=0.0)
    plain = Sample(weights=np.ones(sample.size), clusters=sample.clusters)
    assert abs(share_interval(sample, differs).estimate - truth) < abs(share_interval(plain, differs).estimate - truth)


def test_windows_ratios_are_covered() -> None:
    rng, inside = np.random.default_rng(3), 0
    for _ in range(TRIALS):
        speed = rng.lognormal(0, 0.2, 8)
        full, exits = 10 * speed, 7 * speed * rng.lognormal(0, 0.05, 8)
        each = Sample(weights=np.ones(8), clusters=np.arange(8))
        found = positive_ratio_interval(each, exits, full)
        inside += found.low <= 0.7 * math.exp(0.05**2 / 2) <= found.high
    assert inside / TRIALS >= 0.915


def test_two_windows_that_differ_widely_leave_the_ratio_open_but_positive() -> None:
    each = Sample(weights=np.ones(2), clusters=np.arange(2))
    found = positive_ratio_interval(each, np.array([6.0, 16.0]), np.array([26.0, 9.0]))
    assert found.estimate == pytest.approx(22 / 35)
    assert 0 < found.low < 0.01
    assert 10 < found.high < math.inf
