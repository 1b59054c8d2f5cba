"""The questions of a calibration: read once, labelled, each image in one of two halves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from jobs.references import DEFAULT, References, field_references
from jobs.trial_questions import Question, Questions, trial_spec
from jobs.tune_settings import TuneSettings
from mue_model.config import ConfigError
from mue_model.metrics.exact_match import exact_match
from mue_model.metrics.tokenisation import tokenise
from mue_model.model_folder import ModelFacts
from mue_model.rows import RowResult

LEAST_IMAGES = 10


@dataclass(frozen=True, kw_only=True)
class Asked:
    """All questions, by task."""

    by_task: Mapping[str, list[Question]]
    references: References
    images: frozenset[str]
    screened: frozenset[str]
    """Images of the half that is screened and puts points in order; the others test."""
    drawn: Mapping[str, int]
    """Place of each image in an order that the seed draws. Shards may be sorted, by difficulty say, and a test that
    looks at losses one after another holds for images in random order alone."""
    digest: str
    """SHA-256 over pixels, prompts, right answers and identities, in order."""
    skipped: int
    """Rows that could not be read or asked, or have no reference."""

    def is_right(self, question: Question, result: RowResult) -> bool:
        """Return whether a caption is one of its references word for word, or a label the right one."""
        return is_right(question, result, self.references)

    @property
    def image_digests(self) -> frozenset[str]:
        """Return a name of every image, by which a later calibration knows it again, wherever its shards are."""
        return frozenset(hashlib.sha256(image.encode()).hexdigest()[:16] for image in self.images)

    def images_of(self, task: str) -> frozenset[str]:
        """Return the images that the task's questions are about: of those with many questions, the first ones."""
        return frozenset(map(image_of, self.by_task[task]))

    def that_test(self, task: str) -> frozenset[str]:
        """Return the images of a task that have no say in the points or their order."""
        return self.images_of(task) - self.screened

    def to_screen(self, task: str, most: int) -> list[Question]:
        """Return the questions of the first images of the screened half, about `most` rows or fewer."""
        return _first_images([own for own in self.by_task[task] if image_of(own) in self.screened], most)


def is_right(question: Question, result: RowResult, references: References) -> bool:
    """Return whether a caption is one of its references word for word, or a label the right one."""
    if question.gold is not None:
        return result.label == question.gold[0]
    texts = references.of(question.row.uid, question.key, question.members)
    return exact_match(tokenise(result.text or ""), [tokenise(text) for text in texts])


def image_of(question: Question) -> str:
    """Return what the queries of one image have in common, and those of its exact copies: they are no two draws."""
    return question.row.image_key or question.row.uid.rpartition("/")[0]


def ask(settings: TuneSettings, facts: ModelFacts, progress: Callable[[int], None] = lambda _: None) -> Asked:
    """Read all questions; raise `ConfigError` where there are too few of a task, or a shard's labels are none."""
    references = field_references(DEFAULT)
    by_task: dict[str, list[Question]] = {}
    skipped = 0
    for task in dict.fromkeys(settings.tasks):
        asked = Questions(trial_spec(settings.shards, task), facts, limit=settings.images)
        read = _counted(asked, progress)
        usable = [own for own in read if own.gold or references.of(own.row.uid, own.key, own.members)]
        skipped += asked.skipped + asked.unasked + len(read) - len(usable)
        by_task[task] = _first_images(usable, settings.rows)
        if len(_by_image(by_task[task])) < LEAST_IMAGES:
            lack = f": {references.missing()}" if read and task == "caption" and not by_task[task] else ""
            raise ConfigError(
                f"task '{task}': {len(_by_image(by_task[task]))} images of {', '.join(settings.shards)} can be asked "
                f"about and have labels, but a calibration needs {LEAST_IMAGES} or more{lack}"
            )
    images = sorted({image_of(question) for own in by_task.values() for question in own})
    order = [images[place] for place in np.random.default_rng(settings.seed).permutation(len(images))]
    return Asked(
        by_task=by_task,
        references=references,
        images=frozenset(images),
        screened=frozenset(order[: len(images) // 2]),
        drawn={image: place for place, image in enumerate(order)},
        digest=_digest(by_task, references),
        skipped=skipped,
    )


def _counted(questions: Questions, progress: Callable[[int], None]) -> list[Question]:
    found: list[Question] = []
    for question in questions:
        found.append(question)
        progress(len(found))
    return found


def _first_images(questions: list[Question], most: int) -> list[Question]:
    """Return the questions about the first images, `most` or fewer, but those of one image at least."""
    found: list[Question] = []
    for own in _by_image(questions).values():
        if found and len(found) + len(own) > most:
            break
        found += own
    return found


def _by_image(questions: list[Question]) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = {}
    for question in questions:
        found.setdefault(image_of(question), []).append(question)
    return found


def _digest(by_task: Mapping[str, list[Question]], references: References) -> str:
    digest = hashlib.sha256()
    for task, questions in by_task.items():
        for question in questions:
            row = question.row
            gold = question.gold or list(references.of(row.uid, question.key, question.members))
            digest.update(repr((task, row.uid, question.key, row.prompt_ids, gold, row.pixels.shape)).encode())
            digest.update(row.pixels.tobytes())
    return digest.hexdigest()
