"""Calibration of exit thresholds: screen from cached states, free runs of the front, a certificate, a choice.

The screened half of the images suggests the points and puts them in order; the other half has no say in either, so it
may test them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from jobs.evaluation_view import depth_facts
from jobs.free_runs import FreeRun, free_runs
from jobs.kept import kept_of
from jobs.tune_certificate import FULL, certificate, refuse_hopeless
from jobs.tune_earlier import earlier_points, read_earlier
from jobs.tune_pace import measured_pace
from jobs.tune_questions import Asked, ask
from jobs.tune_settings import TuneSettings
from mue_model import costs
from mue_model.config import ConfigError, EngineConfig, ExitConfig
from mue_model.loading import build_engine, load_model
from mue_model.model_folder import ModelFacts
from mue_model.tuning.cells import Cells
from mue_model.tuning.certificate import Verdict
from mue_model.tuning.choice import Measured, TaskFigures, best, cheapest, paper_layer_metric
from mue_model.tuning.collect import collect
from mue_model.tuning.family import constant_depth
from mue_model.tuning.net_work import net_work
from mue_model.tuning.pace import Pace
from mue_model.tuning.proposals import Proposal, Proposals, propose
from mue_model.tuning.screen import Screen

SLACK = 0.04
"""The screen takes every changed text for wrong, so points are run that seem to lie so far below the lowest target:
free runs kept up to .029 more than was screened (13 calibrations)."""
Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it, and of how much."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What was found."""

    asked: Asked
    screened_rows: Mapping[str, int]
    proposals: Proposals
    by_proposal: Mapping[str, Proposal]
    points: tuple[Measured, ...]
    """Full depth, constant depths, then what was proposed by rising cost."""
    cider_d: Mapping[str, float]
    """Of captions, by point."""
    verdicts: tuple[Verdict, ...] | None
    """The certificate's path; None where none was asked for."""
    chosen: Mapping[str, Measured | None]
    """By preset; None where no certified point will do."""

    @property
    def constants(self) -> list[Measured]:
        """The honest baseline: every row as deep as any other, full depth among them, and depths by stage."""
        return [point for point in self.points if point.name not in self.by_proposal]


def tune(settings: TuneSettings, facts: ModelFacts, progress: Progress = lambda *_: None) -> Tuning:
    """Calibrate; nothing is written.

    Raises:
        ConfigError: There are too few labelled images of a task, or to certify anything, nothing is right at full
            depth, texts of the model are decoded with beams, or earlier calibrations do not suit.
    """
    if facts.generation.beams > 1:
        raise ConfigError(
            f"model '{facts.name}' decodes with {facts.generation.beams} beams; only greedy texts are tuned"
        )
    earlier = read_earlier(settings, facts)
    asked = ask(settings, facts, lambda rows: progress("reading", rows, rows))
    refuse_hopeless(settings, asked)
    if earlier:
        proposals = earlier_points(settings, earlier, asked.image_digests)
        screened_rows = dict.fromkeys(asked.by_task, 0)
    else:
        proposals, screened_rows = _proposals(settings, facts, asked, progress)
    by_proposal = {f"exits {number}": own for number, own in enumerate(proposals.front, start=1)}
    points = {FULL: ExitConfig()}
    points |= {
        f"constant {depth}": constant_depth(facts.config, depth) for depth in range(1, facts.config.encoder_layers)
    }
    points |= {f"constant {'/'.join(map(str, own))}": at.exits for own, at in proposals.constants.items()}
    points |= {name: own.exits for name, own in by_proposal.items()}
    runs = {task: _run(settings, facts, asked, task, points, progress) for task in asked.by_task}
    measured = tuple(_measured(facts, asked, name, points[name], runs) for name in points)
    verdicts = certificate(settings, asked, runs) if settings.certify is not None else None
    return Tuning(
        asked=asked,
        screened_rows=screened_rows,
        proposals=proposals,
        by_proposal=by_proposal,
        points=measured,
        cider_d={
            name: run.trial.all.captions.cider_d for name, run in runs["caption"].items() if run.trial.all.captions
        }
        if "caption" in runs
        else {},
        verdicts=verdicts,
        chosen=_chosen(settings, measured, verdicts),
    )


def _proposals(
    settings: TuneSettings, facts: ModelFacts, asked: Asked, progress: Progress
) -> tuple[Proposals, dict[str, int]]:
    """Return the screen's front, and how many rows of each task it rests on."""
    paces = _paces(settings, facts, asked, progress) if settings.by == "time" else None
    screen = Screen(facts.config, _cells(settings, facts, asked, progress), by=settings.by, paces=paces)
    floor, aim = sought(settings, asked.by_task)
    found = propose(
        screen,
        points=settings.points,
        floor=floor,
        aim=aim,
        constants=settings.constants,
        progress=lambda done, total: progress("screening", done, total),
    )
    return found, {task: len(cells.traces) for task, cells in screen.cells.items()}


def sought(settings: TuneSettings, tasks: Iterable[str]) -> tuple[float, float]:
    """Return the quality below which no point of the screen is run, and the one that most points need not exceed.

    The second is for captions alone: of labels a screen shows up to .006 more than free runs keep.
    """
    if settings.max_flops is not None:
        return 0.0, math.inf
    floor = max(0.0, min(settings.fast_quality, settings.min_quality) - SLACK)
    return floor, settings.min_quality if {*tasks} == {"caption"} else math.inf


def _paces(settings: TuneSettings, facts: ModelFacts, asked: Asked, progress: Progress) -> dict[str, Pace]:
    return {
        task: measured_pace(
            facts,
            asked.to_screen(task, settings.screen_rows),
            asked.references,
            task=task,
            group_size=settings.group_size,
            decoder_signal=settings.decoder_signal,
            progress=partial(progress, f"timing {task}"),
        )
        for task in asked.by_task
    }


def _cells(settings: TuneSettings, facts: ModelFacts, asked: Asked, progress: Progress) -> dict[str, Cells]:
    """Answer the rows to screen at full depth and fill their cells."""
    engine = build_engine(
        facts, ExitConfig(), facts.generation, EngineConfig(device="auto", group_size=settings.group_size)
    )
    model = load_model(facts, device="auto")
    cells = {}
    for task in asked.by_task:
        questions = asked.to_screen(task, settings.screen_rows)
        results = engine.submit([question.row for question in questions]).result()
        pairs = [pair for pair in zip(questions, results, strict=True) if pair[1].trace is not None]
        right = [asked.is_right(*pair) for pair in pairs]
        if not any(right):
            raise ConfigError(
                f"task '{task}': none of {len(pairs):,} answers at full depth is right, so there is no quality to "
                f"keep; is '{facts.name}' trained for it?"
            )
        cells[task] = collect(
            model,
            [question.row for question, _ in pairs],
            [result for _, result in pairs],
            right,
            [question.gold[0] if question.gold else None for question, _ in pairs],
            facts.generation,
            decoder_signal=settings.decoder_signal,
            progress=_told(progress, f"caching {task}", len(pairs)),
        )
    engine.close()
    return cells


def _told(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    return lambda done: progress(what, done, total)


def _run(
    settings: TuneSettings,
    facts: ModelFacts,
    asked: Asked,
    task: str,
    points: Mapping[str, ExitConfig],
    progress: Progress,
) -> dict[str, FreeRun]:
    questions = asked.by_task[task]
    total = 2 * len(points) * len(questions)
    return free_runs(
        facts,
        points,
        questions,
        asked.references,
        task=task,
        group_size=settings.group_size,
        keep=len(questions),
        progress=_told(progress, f"running {task}", total),
    )


def _measured(
    facts: ModelFacts, asked: Asked, name: str, exits: ExitConfig, runs: Mapping[str, Mapping[str, FreeRun]]
) -> Measured:
    return Measured(
        name=name,
        exits=exits,
        tasks={task: _figures(facts, asked, own[name], own[FULL]) for task, own in runs.items()},
    )


def _figures(facts: ModelFacts, asked: Asked, run: FreeRun, full: FreeRun) -> TaskFigures:
    scores, kept = run.trial.all, kept_of(run.trial, full.trial, asked.references)
    layers = {stream: mean or 0.0 for stream, mean in depth_facts(scores.depths).items()}
    answered = [(question.row, own.trace) for question, own in run.trial.answers if own.trace is not None]
    rows, traces = zip(*answered, strict=True)
    return TaskFigures(
        rows=scores.rows,
        quality=_quality(run),
        kept=kept.share,
        kept_error=kept.error,
        flops_executed=scores.flops_executed,
        flops_checks=sum(costs.row_flops(facts.config, trace).checks for trace in traces),
        flops_full_same_length=scores.flops_full_same_length,
        flops_share=scores.executed_share,
        net=net_work(facts.config, rows, traces),
        layers=layers,
        paper_layer_metric=paper_layer_metric(facts.config, layers),
        seconds=run.seconds,
        time_share=run.seconds / full.seconds,
    )


def _quality(run: FreeRun) -> float:
    scores = run.trial.all
    if scores.captions is not None:
        return scores.captions.exact_match
    return scores.answers.accuracy if scores.answers is not None else 0.0


def _chosen(
    settings: TuneSettings, points: tuple[Measured, ...], verdicts: tuple[Verdict, ...] | None
) -> dict[str, Measured | None]:
    """Return the presets. Full depth keeps everything, so without a certificate there always is one."""
    certified = None if verdicts is None else {verdict.name for verdict in verdicts if verdict.certified}
    open_to = [point for point in points if certified is None or point.name in certified]
    if settings.max_flops is not None:
        balanced = best(open_to, max_flops=settings.max_flops)
    else:
        balanced = _cheapest(settings, open_to, settings.min_quality)
    return {"balanced": balanced, "fast": _cheapest(settings, open_to, settings.fast_quality)}


def _cheapest(settings: TuneSettings, points: list[Measured], min_quality: float) -> Measured | None:
    return cheapest(points, min_quality=min_quality, by=settings.by, confidence=settings.confidence)
