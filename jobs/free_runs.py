"""A model run freely at several exit settings over the same questions: what it answers, and in what time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from jobs.references import References
from jobs.trial import Trial, run_trial
from jobs.trial_questions import Question
from mue_model.config import EngineConfig, ExitConfig
from mue_model.loading import build_engine, pick_device
from mue_model.model_folder import ModelFacts
from pipeline.row_field import RowField


@dataclass(frozen=True, kw_only=True)
class FreeRun:
    """One setting."""

    trial: Trial
    each_s: tuple[float, ...]
    """Seconds of each run: of the processor where one thread of it does all the work, for what else a machine
    does is then no part of it; else as a clock on the wall has it."""

    @property
    def seconds(self) -> float:
        """Return those of the fastest run."""
        return min(self.each_s)


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
    rounds: int = 2,
    beside: Mapping[str, ModelFacts] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, FreeRun]:
    """Run every point in turn, there and back again, so that a machine that changes its pace favours none.

    Args:
        facts: Of the model.
        points: Exit settings by name.
        questions: All of one task.
        references: Of captions.
        task: Of all questions.
        group_size: Of the dense engine; images never go in larger groups.
        by: As for `run_trial`.
        keep: Answers to return with each trial.
        rounds: How often every point runs; every other round is backwards.
        beside: Other models by name, which take the same rows: each at full depth in its turn after the points.
        progress: Is told the questions answered so far, over all points.
    """
    found: dict[str, FreeRun] = {}
    one_thread = torch.get_num_threads() == 1 and pick_device("auto").type == "cpu"
    image_group_size = min(group_size, EngineConfig().image_group_size)
    models = dict.fromkeys(points, facts) | dict(beside or {})
    order = [name for number in range(rounds) for name in (reversed([*models]) if number % 2 else models)]
    for number, name in enumerate(order):
        settings = EngineConfig(device="auto", group_size=group_size, image_group_size=image_group_size)
        model = models[name]
        engine = build_engine(model, points.get(name, ExitConfig()), facts.generation, settings)
        engine.submit([question.row for question in questions[:group_size]]).result()
        before = number * len(questions)
        trial = run_trial(
            questions,
            engine,
            model.config,
            references,
            task=task,
            by=by,
            keep=keep,
            progress=lambda rows, base=before: progress(base + rows),  # type: ignore[misc]
        )
        engine.close()
        seconds = trial.processor_s if one_thread else trial.model_s
        found[name] = FreeRun(trial=trial, each_s=(*(found[name].each_s if name in found else ()), seconds))
    return found
