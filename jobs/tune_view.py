"""A calibration for people: every point that ran, what became a preset, and what is certified."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from jobs.evaluation_view import Stack, percent
from jobs.terminal import pairs_table
from jobs.tune import Tuning
from jobs.tune_document import images_screened, images_that_test
from jobs.tune_settings import TuneSettings
from mue_model.tuning.by import IN_WORDS
from mue_model.tuning.choice import Measured, TaskFigures, above_constant


def tune_view(found: Tuning, settings: TuneSettings) -> Stack:
    """Return the table of points and, below, the presets and the certificate in words."""
    return Stack(_points(found, settings), Text(), pairs_table(_lines(found, settings)))


def _points(found: Tuning, settings: TuneSettings) -> Table:
    tasks = list(found.points[0].tasks)
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for task in tasks:
        for head in (f"{task} right", "kept", "layers i/t/d", "FLOPs", "work", "time", "±const"):
            table.add_column(head, justify="right")
    table.add_column("certified" if found.verdicts is not None else "", no_wrap=True)
    table.add_column("preset", no_wrap=True)
    certified = {verdict.name: "yes" if verdict.certified else "no" for verdict in found.verdicts or ()}
    for point in found.points:
        cells = [cell for task in tasks for cell in _cells(point.tasks[task], point, found, settings, task)]
        presets = [name for name, chosen in found.chosen.items() if chosen is point]
        table.add_row(point.name, *cells, certified.get(point.name, ""), ", ".join(presets))
    return table


def _cells(own: TaskFigures, point: Measured, found: Tuning, settings: TuneSettings, task: str) -> list[str]:
    layers = "/".join(f"{own.layers[stream]:.1f}" for stream in ("image", "text", "decoder"))
    above = above_constant(point, found.constants, task, settings.by) if point.name in found.by_proposal else None
    shares = [percent(share) for share in (own.quality, own.kept, own.spent_share, own.net.share, own.time_share)]
    kept = f"{100 * own.kept:.1f} ± {100 * own.kept_within:.1f} %"
    return [shares[0], kept, layers, *shares[2:], "" if above is None else f"{100 * above:+.1f}"]


def _lines(found: Tuning, settings: TuneSettings) -> list[tuple[str, str]]:
    rows = ", ".join(f"{len(own):,} of {task}" for task, own in found.asked.by_task.items())
    lines = [
        ("rows", f"{rows}; times are of groups of {settings.group_size}, over full depth in the same run"),
        _proposed(found, settings),
    ]
    for name, point in found.chosen.items():
        lines.append((name, _preset(name, point, settings)))
    if found.verdicts is not None:
        lines.append(("certificate", _certificate(found, settings)))
    return lines


def _proposed(found: Tuning, settings: TuneSettings) -> tuple[str, str]:
    if settings.points_of:
        kept = (
            f"{len(found.by_proposal)} of {found.proposals.screened:,} points: those that kept most there at their cost"
        )
        return "points of", f"{', '.join(settings.points_of)}; {kept}"
    return "screened", f"{found.proposals.screened:,} points on images: {_by_task(images_screened(found, settings))}"


def _preset(name: str, point: Measured | None, settings: TuneSettings) -> str:
    by_flops = name == "balanced" and settings.max_flops is not None
    if by_flops:
        rule = f"at most {percent(settings.max_flops or 0)} of the FLOPs"
    else:
        kept = settings.min_quality if name == "balanced" else settings.fast_quality
        sure = "" if settings.confidence is None else f" with {percent(settings.confidence)} confidence"
        rule = f"{percent(kept)} of the quality kept{sure}, least of {IN_WORDS[settings.by]}"
    if point is None:
        return f"none: no {'certified ' if settings.certify is not None else ''}point has {rule}"
    metric = ", ".join(f"{own.paper_layer_metric:.3f} {task}" for task, own in point.tasks.items())
    return (
        f"{point.name} ({rule}): keeps {percent(point.kept)}, {percent(point.spent_share)} of the FLOPs, "
        f"{percent(point.cost('work'))} of a job's, "
        f"{percent(point.time_share)} of the time; paper's layer metric {metric}"
    )


def _certificate(found: Tuning, settings: TuneSettings) -> str:
    verdicts = found.verdicts or ()
    passed = [verdict.name for verdict in verdicts if verdict.certified]
    images = _by_task(images_that_test(found))
    bound = f"at most {percent(settings.certify or 0)} of an image's rows on average lose a right answer, in each task"
    if not verdicts:
        return "nothing certified: there is no point but full depth"
    if not passed:
        first = verdicts[0]
        return (
            f"nothing certified: images that had no say in the points ({images}) do not show for any point that "
            f"{bound}; the first one tested, {first.name}, lost {percent(first.risk)} there (p {first.p_value:.3f})"
        )
    return (
        f"{bound}, at {', '.join(passed)}; wrong with a chance of at most {percent(settings.delta)}, "
        f"tested on images that had no say in them: {images}"
    )


def _by_task(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} for {task}" for task, count in counts.items())
