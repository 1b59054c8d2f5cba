"""What the free runs of a calibration lose, image by image, on the half that tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.free_runs import FreeRun, free_runs
from jobs.tune import Tuning
from jobs.tune_certificate import FULL, certificate
from jobs.tune_questions import image_of
from jobs.tune_settings import TuneSettings
from mue_model.config import ExitConfig
from mue_model.model_names import model_facts

FACTS = model_facts("demo")


@pytest.fixture(scope="module")
def runs(tuned: Tuning) -> dict[str, dict[str, FreeRun]]:
    """Full depth twice, and once with every third caption spoilt."""
    points = {FULL: ExitConfig(), "same": ExitConfig()}
    questions = tuned.asked.by_task["caption"]
    found = free_runs(
        FACTS, points, questions, tuned.asked.references, task="caption", group_size=16, keep=len(questions)
    )
    answers = [
        (question, own if number % 3 else replace(own, text="nothing of the kind"))
        for number, (question, own) in enumerate(found["same"].trial.answers)
    ]
    return {"caption": found | {"spoilt": replace(found["same"], trial=replace(found["same"].trial, answers=answers))}}


def test_losses_are_rights_that_were_lost(
    tuned: Tuning, tune_settings: TuneSettings, runs: dict[str, dict[str, FreeRun]]
) -> None:
    lenient = {own.name: own for own in certificate(tune_settings, tuned.asked, runs)}
    assert FULL not in lenient, "which loses nothing by definition"
    assert lenient["same"].risk == 0
    by_image: dict[str, list[bool]] = {}
    for (question, own), (_, deep) in zip(
        runs["caption"]["spoilt"].trial.answers, runs["caption"][FULL].trial.answers, strict=True
    ):
        image = image_of(question)
        if image not in tuned.asked.screened:
            lost = tuned.asked.is_right(question, deep) and not tuned.asked.is_right(question, own)
            by_image.setdefault(image, []).append(lost)
    share = sum(sum(own) for own in by_image.values()) / len(by_image)
    assert lenient["spoilt"].risk == share > 0
    assert lenient["same"].certified


def test_few_images_certify_nothing_strict(
    tuned: Tuning, tune_settings: TuneSettings, runs: dict[str, dict[str, FreeRun]]
) -> None:
    strict = certificate(tune_settings.model_copy(update={"certify": 0.01}), tuned.asked, runs)
    assert not any(verdict.certified for verdict in strict)
    swapped = replace(tuned.asked, screened=tuned.asked.images - tuned.asked.screened)
    assert {own.name for own in certificate(tune_settings, swapped, runs)} == {"same", "spoilt"}
