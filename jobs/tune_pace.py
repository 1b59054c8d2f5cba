"""What a layer call and a check take on this machine, from runs that differ from full depth in one stage alone."""

from __future__ import annotations

from collections.abc import Callable

from jobs.free_runs import FreeRun, free_runs
from jobs.references import References
from jobs.trial_questions import Question
from mue_model.config import DecoderSignal, ExitConfig, ModelConfig
from mue_model.exits import SUREST
from mue_model.model_folder import ModelFacts
from mue_model.tuning.cells import encoder_stages
from mue_model.tuning.family import NEVER, constant_vector, exits_of
from mue_model.tuning.net_work import net_work
from mue_model.tuning.pace import Pace, Timed

OUT_OF_REACH = SUREST
"""A threshold that is asked about and that no state exceeds."""
_FULL = "full depth"


def measured_pace(
    facts: ModelFacts,
    questions: list[Question],
    references: References,
    *,
    task: str,
    group_size: int,
    decoder_signal: DecoderSignal,
    progress: Callable[[int, int], None],
) -> Pace:
    """Return the pace of `questions`, all of one task.

    Each stage is run once at half its depth and once asked behind every layer, every run twice.
    """
    points = probes(facts.config, candidates=task != "caption", decoder_signal=decoder_signal)
    total = 2 * len(points) * len(questions)
    runs = free_runs(
        facts, points, questions, references, task=task, group_size=group_size, keep=len(questions),
        progress=lambda done: progress(done, total),
    )  # fmt: skip
    timed = {name: _timed(facts.config, run) for name, run in runs.items()}
    by_kind = {
        kind: {name.split()[0]: own for name, own in timed.items() if name.endswith(kind)}
        for kind in ("early", "asked")
    }
    return Pace.of(timed[_FULL], by_kind["early"], by_kind["asked"])


def probes(config: ModelConfig, *, candidates: bool, decoder_signal: DecoderSignal) -> dict[str, ExitConfig]:
    """Return the points that are run, by name."""
    layers = dict.fromkeys(encoder_stages(config), config.encoder_layers)
    layers["candidates" if candidates else "decoder"] = config.decoder_layers
    points = {_FULL: ExitConfig()}
    for stage, depth in layers.items():
        stream = {"joint": "image", "candidates": "decoder"}.get(stage, stage)
        points[f"{stream} early"] = exits_of({stage: constant_vector(max(1, depth // 2), depth)}, decoder_signal)
        points[f"{stream} asked"] = exits_of({stage: (*(OUT_OF_REACH,) * (depth - 1), NEVER)}, decoder_signal)
    return points


def _timed(config: ModelConfig, run: FreeRun) -> Timed:
    answered = [(question.row, result.trace) for question, result in run.trial.answers if result.trace is not None]
    rows, traces = zip(*answered, strict=True)
    return Timed(work=net_work(config, rows, traces), seconds=run.seconds)
