"""The certificate of a calibration, from free runs: what each point loses, on the half that tests it."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.free_runs import FreeRun
from jobs.tune_questions import Asked, image_of
from jobs.tune_settings import TuneSettings
from mue_model.tuning.certificate import Losses, Verdict, certify, clustered

FULL = "full depth"
LOSS = "1 for a row that is right at full depth and not at this point, else 0; mean over the rows of an image"


def certificate(settings: TuneSettings, asked: Asked, runs: Mapping[str, Mapping[str, FreeRun]]) -> tuple[Verdict, ...]:
    """Test every point but full depth, which loses nothing."""
    assert settings.certify is not None
    names = [name for name in next(iter(runs.values())) if name != FULL]
    halves: list[dict[str, dict[str, Losses]]] = [
        {name: {task: losses_of(asked, own[name], own[FULL], half) for task, own in runs.items()} for name in names}
        for half in (asked.screened, asked.images - asked.screened)
    ]
    return tuple(certify(*halves, alpha=settings.certify, delta=settings.delta))


def losses_of(asked: Asked, run: FreeRun, full: FreeRun, of: frozenset[str]) -> Losses:
    """Return the losses of the images in `of`: 1 for a row that full depth has right and this point has not."""
    losses, images = [], []
    for (question, own), (_, deep) in zip(run.trial.answers, full.trial.answers, strict=True):
        if image_of(question) in of:
            losses.append(float(asked.is_right(question, deep) and not asked.is_right(question, own)))
            images.append(image_of(question))
    return clustered(losses, images, binary=len(set(images)) == len(images))
