"""Trials of the certificate: they find one that is wrong, and leave one alone that is right."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import certificate_trials
from benchmarks.certificate_trials import just_below, trials
from mue_model.tuning.certificate import Losses, Verdict


def losses(risk: float, *, images: int = 20_000, seed: int = 0) -> Losses:
    """So many images of which that share loses its answer."""
    lost = np.random.default_rng(seed).random(images) < risk
    return Losses(tuple(map(float, lost)), binary=True)


def test_a_right_certificate_has_few_violations_and_finds_what_is_good() -> None:
    lost = {"good": losses(0.01, seed=1), "bad": losses(0.052, seed=2)}
    found = trials(lost, each=200, alpha=0.05, delta=0.05)
    assert found.trials == 100
    assert found.allowed == 11
    assert found.violations <= found.allowed
    assert found.certified["good"] > 50
    assert found.risks["good"] == pytest.approx(0.01, abs=0.003)


def test_a_certificate_that_takes_what_it_sees_for_what_is_true_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def naive(ordering: object, testing: dict[str, dict[str, Losses]], *, alpha: float, delta: float) -> list[Verdict]:
        means = {name: float(np.mean(own["task"].clusters)) for name, own in testing.items()}
        return [Verdict(name=name, p_value=0.0, risk=mean, certified=mean <= alpha) for name, mean in means.items()]

    monkeypatch.setattr(certificate_trials, "certify", naive)
    found = trials({"bad": losses(0.052)}, each=200, alpha=0.05, delta=0.05)
    assert found.violations > found.allowed


def test_images_of_a_trial_are_no_part_of_the_risk_that_it_is_held_against(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both trials certify; the first one's images alone lose anything, so only the second one was wrong to."""
    lost = Losses((1.0,) * 10 + (0.0,) * 10, binary=True)
    always = [Verdict(name="point", p_value=0.0, risk=0.0, certified=True)]
    monkeypatch.setattr(certificate_trials, "certify", lambda *_, **__: always)
    assert trials({"point": lost}, each=10, alpha=0.5, delta=0.05).violations == 1


def test_alphas_lie_just_below_every_risk_but_none() -> None:
    lost = {"a": losses(0.05), "b": losses(0.02, seed=3), "full": losses(0.0)}
    found = just_below(lost)
    assert len(found) == 2
    for alpha, name in zip(found, ("b", "a"), strict=True):
        risk = sum(lost[name].clusters) / 20_000
        assert 0.95 * risk < alpha < risk
