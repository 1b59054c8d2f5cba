"""A model run freely at several exit settings over the same questions: what it answers, and in what time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jobs.references import References
from jobs.trial import Trial, run_trial
from jobs.trial_questions import Question
from mue_model.config import EngineConfig, ExitConfig
from mue_model.loading import build_engine
from mue_model.model_folder import ModelFacts
from pipeline.row_field import RowField


@dataclass(frozen=True, kw_only=True)
class FreeRun:
    """One setting."""

    trial: Trial
    seconds: float
    """Of the faster of two runs."""


def free_runs(
    facts: ModelFacts,
    points: Mapping[str, ExitConfig],
    questions: Sequence[Question],
    references: References,
    *,
    task: str,
    group_size: int,
    by: RowField | None = None,
    keep: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, FreeRun]:
    """Run every point twice, there and back again, so that a machine that changes its pace favours none.

    Args:
        facts: Of the model.
        points: Exit settings by name.
        questions: All of one task.
        references: Of captions.
        task: Of all questions.
        group_size: Of the dense engine.
        by: As for `run_trial`.
        keep: Answers to return with each trial.
        progress: Is told the questions answered so far, over all points.
    """
    found: dict[str, FreeRun] = {}
    for number, name in enumerate([*points, *reversed([*points])]):
        settings = EngineConfig(device="auto", group_size=group_size)
        engine = build_engine(facts, points[name], facts.generation, settings)
        engine.submit([question.row for question in questions[:group_size]]).result()
        before = number * len(questions)
        trial = run_trial(
            questions,
            engine,
            facts.config,
            references,
            task=task,
            by=by,
            keep=keep,
            progress=lambda rows, base=before: progress(base + rows),  # type: ignore[misc]
        )
        engine.close()
        seconds = min(trial.model_s, found[name].seconds) if name in found else trial.model_s
        found[name] = FreeRun(trial=trial, seconds=seconds)
    return found
