"""What is kept, and how sure that is: an image's rows together, the same rows in pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from jobs.kept import kept_of
from jobs.trial import Trial
from jobs.tune import Tuning
from jobs.tune_questions import image_of
from mue_model.rows import RowResult


def trial_of(tuned: Tuning, rights: Sequence[Sequence[bool]]) -> Trial:
    """Answers about as many images as there are `rights`, each to so many hypotheses of it."""
    by_image: dict[str, list] = {}
    for question in tuned.asked.by_task["entailment"]:
        by_image.setdefault(image_of(question), []).append(question)
    answers = []
    for questions, own in zip(by_image.values(), rights, strict=False):
        for question, right in zip(questions, own, strict=False):
            answers.append((question, RowResult(uid="", label=question.gold[0] if right else "nothing")))
    whole = tuned.asked
    assert len(answers) == sum(map(len, rights)), f"{len(whole.images)} images are not enough"
    return Trial(all=None, groups={}, failed=0, without_references=0, model_s=1, processor_s=1, answers=answers)  # type: ignore[arg-type]


def test_quality_is_over_that_of_full_depth(tuned: Tuning) -> None:
    full = trial_of(tuned, [[True, True], [True, False], [False, True]])
    own = trial_of(tuned, [[True, False], [True, False], [True, True]])
    kept = kept_of(own, full, tuned.asked.references)
    assert kept.share == 1.0
    # Of each image: right here less kept times right at full depth: -1, 0, +1.
    assert kept.error == pytest.approx(math.sqrt(2) / 4)
    assert kept.within == pytest.approx(1.95996 * kept.error, rel=1e-5)
    assert kept_of(full, full, tuned.asked.references).error == 0


def test_nothing_right_keeps_nothing_that_has_a_number(tuned: Tuning) -> None:
    full = trial_of(tuned, [[False]])
    assert math.isnan(kept_of(full, full, tuned.asked.references).share)


def test_the_error_is_the_spread_of_fresh_draws(tuned: Tuning) -> None:
    """Rows of an image are lost together here: as draws of their own they would look twice as sure."""
    random, images, found = np.random.default_rng(4), 8, []
    for _ in range(300):
        deep = random.random(images) < 0.8
        lost = random.random(images) < 0.2
        full = trial_of(tuned, [[bool(right)] * 4 for right in deep])
        own = trial_of(tuned, [[bool(right and not gone)] * 4 for right, gone in zip(deep, lost, strict=True)])
        if deep.any():
            found.append(kept_of(own, full, tuned.asked.references))
    spread = float(np.std([own.share for own in found]))
    assert np.mean([own.error for own in found]) == pytest.approx(spread, rel=0.25)
