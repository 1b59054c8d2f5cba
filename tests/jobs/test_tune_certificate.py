"""What the free runs of a calibration lose, image by image, on the half that tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.free_runs import FreeRun, free_runs
from jobs.tune import Tuning
from jobs.tune_certificate import FULL, certificate, losses_of, refuse_hopeless
from jobs.tune_questions import image_of
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError, ExitConfig
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


def test_losses_are_in_an_order_that_the_shards_have_no_say_in(
    tuned: Tuning, runs: dict[str, dict[str, FreeRun]]
) -> None:
    """The first half of what is read is spoilt, as if shards were sorted by difficulty."""
    same, full, asked = runs["caption"]["same"], runs["caption"][FULL], tuned.asked
    pairs = same.trial.answers
    answers = [
        (question, replace(own, text="nothing of the kind") if number < len(pairs) // 2 else own)
        for number, (question, own) in enumerate(pairs)
    ]
    run = replace(same, trial=replace(same.trial, answers=answers))
    lost = {
        image_of(question): float(asked.is_right(question, deep) and not asked.is_right(question, own))
        for (question, own), (_, deep) in zip(answers, full.trial.answers, strict=True)
    }
    read = [image_of(question) for question, _ in pairs]
    drawn = sorted(read, key=asked.drawn.__getitem__)
    assert read != drawn
    found = losses_of(asked, run, full, asked.images)
    assert found.clusters == tuple(lost[image] for image in drawn) != tuple(lost[image] for image in read)
    assert sorted(asked.drawn.values()) == list(range(len(asked.images)))


def test_what_could_certify_nothing_is_refused_before_it_is_run(tuned: Tuning, tune_settings: TuneSettings) -> None:
    testing = len(tuned.asked.that_test("caption"))
    for certify, refused in ((0.9, False), (None, False), (0.001, True)):
        settings = tune_settings.model_copy(update={"certify": certify})
        if refused:
            with pytest.raises(ConfigError, match=f"0.001: {testing} images of task 'caption' test, and 2,995 without"):
                refuse_hopeless(settings, tuned.asked)
        else:
            refuse_hopeless(settings, tuned.asked)
