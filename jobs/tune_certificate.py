"""The certificate of a calibration, from free runs: what each point loses, on the half that tests it."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.free_runs import FreeRun
from jobs.tune_questions import Asked, image_of
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError
from mue_model.tuning.certificate import Losses, Verdict, certify, clustered, images_needed

FULL = "full depth"
LOSS = "1 for a row that is right at full depth and not at this point, else 0; mean over the rows of an image"


def refuse_hopeless(settings: TuneSettings, asked: Asked) -> None:
    """Raise `ConfigError`, before anything is run, where so few images test that a point without a loss would fail."""
    if settings.certify is None:
        return
    for task, questions in asked.by_task.items():
        testing = asked.that_test(task)
        rows = sum(image_of(question) in testing for question in questions)
        needed = images_needed(settings.certify, settings.delta, binary=rows == len(testing))
        if len(testing) < needed:
            raise ConfigError(
                f"--certify {settings.certify:g}: {len(testing):,} images of task '{task}' test, and {needed:,} "
                f"without a single loss are the fewest that show it with a chance of {settings.delta:g} to be wrong; "
                f"half of the images test, so give {2 * needed:,} and many more (--images, --rows), or a larger ALPHA"
            )


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
    """Return the losses of the images in `of`: 1 for a row that full depth has right and this point has not.

    They are in the order that the seed drew, whatever that of the shards is.
    """
    found = []
    for (question, own), (_, deep) in zip(run.trial.answers, full.trial.answers, strict=True):
        if (image := image_of(question)) in of:
            found.append((image, float(asked.is_right(question, deep) and not asked.is_right(question, own))))
    found.sort(key=lambda own: asked.drawn[own[0]])
    images = [image for image, _ in found]
    return clustered([loss for _, loss in found], images, binary=len(set(images)) == len(images))
