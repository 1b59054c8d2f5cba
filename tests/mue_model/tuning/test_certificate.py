"""The certificate on losses whose risk is known: it is seldom wrong, it is not empty, and its broken variants are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from mue_model.tuning.certificate import (
    Losses,
    Verdict,
    betting,
    binomial_cdf,
    certify,
    clustered,
    images_needed,
    p_value,
)

ALPHA, DELTA = 0.05, 0.05
TRIALS, MOST = 200, 18
"""Trials, and the most violations that a right certificate of delta .05 has with 99 %: binomial."""
BORDER = {f"p{number:02d}": 0.0501 for number in range(40)}
"""Forty points that all are a hair worse than alpha: the hardest case, and the one that multiplicity breaks."""
MIXED = {"deep": 0.005, "good": 0.02, "near": 0.045, "over": 0.055, "worse": 0.08, "bad": 0.2}
Certify = Callable[[Mapping[str, Mapping[str, Losses]], Mapping[str, Mapping[str, Losses]]], list[Verdict]]


def test_the_most_violations_are_those_of_the_binomial() -> None:
    assert binomial_cdf(MOST, TRIALS, DELTA) >= 0.99 > binomial_cdf(MOST - 2, TRIALS, DELTA)


def honest(ordering: Mapping[str, Mapping[str, Losses]], testing: Mapping[str, Mapping[str, Losses]]) -> list[Verdict]:
    return certify(ordering, testing, alpha=ALPHA, delta=DELTA)


def one_half(
    ordering: Mapping[str, Mapping[str, Losses]], testing: Mapping[str, Mapping[str, Losses]]
) -> list[Verdict]:
    """Broken: the half that puts the points in order tests them too."""
    return certify(testing, testing, alpha=ALPHA, delta=DELTA)


def each_alone(
    ordering: Mapping[str, Mapping[str, Losses]], testing: Mapping[str, Mapping[str, Losses]]
) -> list[Verdict]:
    """Broken: every point is tested at delta, as if it were the only one."""
    return [tested for name in testing for tested in honest({name: ordering[name]}, {name: testing[name]})]


def draw(
    random: np.random.Generator, risks: Mapping[str, float], images: int, rows: int
) -> dict[str, dict[str, Losses]]:
    """Fresh losses of every point; of half the images with several rows, all are lost together or none is."""
    found = {}
    for name, risk in risks.items():
        shared = np.repeat(random.random((images, 1)) < risk, rows, axis=1)
        alone = random.random((images, rows)) < risk
        lost = np.where(random.random((images, 1)) < 0.5, shared, alone)
        names = [image for image in range(images) for _ in range(rows)]
        found[name] = {"caption": clustered(lost.astype(float).flatten().tolist(), names, binary=rows == 1)}
    return found


def violations(certifies: Certify, risks: Mapping[str, float], *, rows: int = 1, images: int = 300) -> tuple[int, int]:
    """Trials in which a point above alpha was certified, and points below it that were, over all trials."""
    random = np.random.default_rng(20)
    wrong = right = 0
    for _ in range(TRIALS):
        tested = certifies(draw(random, risks, images, rows), draw(random, risks, images, rows))
        certified = [point.name for point in tested if point.certified]
        wrong += any(risks[name] > ALPHA for name in certified)
        right += sum(risks[name] <= ALPHA for name in certified)
    return wrong, right


@pytest.mark.parametrize("rows", [1, 3], ids=["binomial", "betting"])
def test_it_is_wrong_in_at_most_one_of_twenty_fresh_draws(rows: int) -> None:
    assert violations(honest, BORDER, rows=rows)[0] <= MOST
    wrong, right = violations(honest, MIXED, rows=rows)
    assert wrong <= MOST
    assert right > 1.5 * TRIALS, "it certifies the two good points almost always"


@pytest.mark.parametrize("broken", [one_half, each_alone])
def test_without_the_order_of_the_other_half_it_is_wrong_far_more_often(broken: Certify) -> None:
    assert violations(broken, BORDER)[0] > 3 * MOST


def test_the_first_point_that_fails_ends_the_path() -> None:
    def losses(lost: int) -> dict[str, Losses]:
        return {"caption": clustered([1.0] * lost + [0.0] * (200 - lost), range(200), binary=True)}

    ordering = {"a": losses(0), "b": losses(1), "c": losses(2)}
    tested = certify(ordering, {"a": losses(0), "b": losses(50), "c": losses(0)}, alpha=ALPHA, delta=DELTA)
    assert [(point.name, point.certified) for point in tested] == [("a", True), ("b", False), ("c", False)]
    assert tested[1].risk == 0.25


def test_a_point_must_pass_in_every_task() -> None:
    good, bad = clustered([0.0] * 200, range(200), binary=True), clustered([1.0] * 200, range(200), binary=True)
    both = {"a": {"caption": good, "entailment": bad}}
    assert not certify(both, both, alpha=ALPHA, delta=DELTA)[0].certified
    alone = {"a": {"caption": good}}
    assert certify(alone, alone, alpha=ALPHA, delta=DELTA)[0].certified


def test_rows_of_one_image_count_as_one() -> None:
    """A hundred rows without a loss are too few images to say anything, if they show five images."""
    five = clustered([0.0] * 100, [number % 5 for number in range(100)], binary=False)
    hundred = clustered([0.0] * 100, range(100), binary=False)
    assert (len(five.clusters), len(hundred.clusters)) == (5, 100)
    assert p_value(five, ALPHA) > DELTA > p_value(hundred, ALPHA)
    assert clustered([1.0, 0.0, 0.5], "aab", binary=False).clusters == (0.5, 0.5)


def test_p_values_are_those_of_the_formulas() -> None:
    assert binomial_cdf(0, 59, ALPHA) == pytest.approx(0.95**59)
    assert binomial_cdf(2, 5, 0.5) == pytest.approx(16 / 32)
    assert binomial_cdf(5, 5, 0.3) == 1.0
    assert binomial_cdf(40_000, 1_000_000, 0.04) == pytest.approx(0.5, abs=0.01)
    assert p_value(clustered([0.0] * 299, range(299), binary=True), 0.01) < DELTA, "299 rows without a loss do"
    assert p_value(clustered([0.0] * 298, range(298), binary=True), 0.01) > DELTA
    assert p_value(Losses((), True), ALPHA) == 1.0


def test_bets_are_placed_before_the_loss_is_known() -> None:
    """By hand: the first stake is bounded by what a loss of 1 may cost, and each follows those before it alone."""
    stake = 0.75 / 0.95
    assert betting([0.0], ALPHA) == pytest.approx(1 / (1 + stake * ALPHA))
    assert betting([1.0], ALPHA) == 1.0
    assert betting([1.0, 0.0], ALPHA) == 1.0, "wealth that is lost and half won back proves nothing"
    assert betting([0.0, 1.0], ALPHA) == betting([0.0, 0.9], ALPHA) == pytest.approx(1 / (1 + stake * ALPHA))
    spread = (0.25 + 0.25**2) / 2
    stakes = [min(math.sqrt(2 * math.log(20) / (2 * own)), stake) for own in (0.25, spread)]
    assert betting([0.0, 0.0], ALPHA) == pytest.approx(1 / math.prod(1 + own * ALPHA for own in stakes))


@pytest.mark.parametrize("risk", [0.0501, 0.06])
def test_bets_on_a_risk_above_alpha_are_seldom_won(risk: float) -> None:
    """Also where every image loses the same, or few of them lose everything."""
    random = np.random.default_rng(4)
    kinds = (
        lambda: random.random(300) < risk,
        lambda: random.random(300) * 2 * risk,
        lambda: random.binomial(6, random.beta(0.2, 0.2 * (1 - risk) / risk, 300)) / 6,
    )
    for draw_losses in kinds:
        assert sum(betting(draw_losses().astype(float).tolist(), ALPHA) <= DELTA for _ in range(TRIALS)) <= MOST


def test_rows_that_spread_a_loss_prove_more_than_one_that_bears_it() -> None:
    """The same risk of 3 % over 300 images: as six rows each of which one may be lost, or as one row each."""
    random = np.random.default_rng(5)
    spread = [betting((random.binomial(6, 0.03, 300) / 6).tolist(), ALPHA) for _ in range(50)]
    whole = [betting((random.random(300) < 0.03).astype(float).tolist(), ALPHA) for _ in range(50)]
    assert sum(own <= DELTA for own in spread) > 40 > 2 * sum(own <= DELTA for own in whole)


def test_losses_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss 1\.5 of image 'b' is not in \[0, 1\]"):
        clustered([0.0, 1.5], "ab", binary=False)
    with pytest.raises(ValueError, match="several rows"):
        clustered([0.0, 1.0], "aa", binary=True)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 0.02, 0.05, 0.3])
def test_fewer_images_than_needed_certify_nothing(alpha: float, binary: bool) -> None:
    needed = images_needed(alpha, DELTA, binary=binary)
    enough, too_few = (p_value(Losses((0.0,) * images, binary), alpha) for images in (needed, needed - 1))
    assert enough <= DELTA < too_few
    if binary:
        assert needed == math.ceil(math.log(DELTA) / math.log(1 - alpha))


def test_bets_are_for_losses_in_random_order() -> None:
    """Why whoever makes losses shuffles them: a mean of twice alpha, the good ones first."""
    sorted_ones = [0.0] * 300 + [0.2] * 300
    assert betting(sorted_ones, ALPHA) < 0.001
    random = np.random.default_rng(3)
    assert min(betting(random.permutation(sorted_ones).tolist(), ALPHA) for _ in range(100)) > DELTA
