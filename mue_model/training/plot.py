"""The curves of a training run, drawn from its metrics.jsonl. Needs matplotlib, which only this file imports."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mue_model.training.reports import MetricsFile

PLOT_FILES = ("curves.png", "curves.svg")
NO_MATPLOTLIB = "matplotlib is not installed, so no curves are drawn; pip install 'mue[train]' brings it"

_TASKS = ("caption", "entailment")
_MEASURE = {"caption": "token_accuracy", "entailment": "row_accuracy"}
_NAMES = {"token_accuracy": "tokens right", "row_accuracy": "answers right"}
_SHADES = ("viridis", "plasma")
"""Of layers, of levels."""


def can_plot() -> bool:
    """Return whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_curves(metrics: MetricsFile, folder: Path) -> list[Path]:
    """Write `PLOT_FILES` into `folder`; the same metrics give the same bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = list(metrics.read())
    training = [line for line in lines if line["event"] == "training"]
    validation = [line for line in lines if line["event"] == "validation"]
    with mpl.rc_context({"svg.hashsalt": "mue", "font.size": 9}):
        figure = Figure(figsize=(13, 7), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 3, squeeze=False)
        for row, task in zip(axes, _TASKS, strict=True):
            _training(row[0], task, training)
            _over_steps(row[1], task, validation)
            _over_layers(row[2], task, validation)
        paths = [folder / name for name in PLOT_FILES]
        figure.savefig(paths[0], dpi=110)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _training(axes: Any, task: str, lines: Sequence[dict[str, Any]]) -> None:
    """Cross-entropy of every decoder layer over the steps."""
    points = [(line["step"], line["cross_entropy"][task]) for line in lines if task in line["cross_entropy"]]
    layers = len(points[0][1]) if points else 0
    for layer, colour in enumerate(_shades(_SHADES[0], layers)):
        steps, values = [step for step, _ in points], [value[layer] for _, value in points]
        axes.plot(steps, values, color=colour, linewidth=1, label=f"layer {layer + 1}")
    _finish(axes, f"{task}: training", "step", "cross-entropy", bool(points))


def _over_steps(axes: Any, task: str, lines: Sequence[dict[str, Any]]) -> None:
    """Accuracy of the last layer over the steps, by level."""
    points = [(line["step"], line["tasks"][task]["by_level"]) for line in lines if task in line["tasks"]]
    levels = sorted(points[-1][1], key=int) if points else []
    for level, colour in zip(levels, _shades(_SHADES[1], len(levels)), strict=True):
        values = [found[level][_MEASURE[task]][-1] for _, found in points]
        axes.plot([step for step, _ in points], values, color=colour, marker=".", label=f"level {level}")
    _shares(axes, task)
    _finish(axes, f"{task}: validation, last layer", "step", _NAMES[_MEASURE[task]], bool(points))


def _over_layers(axes: Any, task: str, lines: Sequence[dict[str, Any]]) -> None:
    """Accuracy after each decoder layer at the last validation, by level."""
    found = [line for line in lines if task in line["tasks"]]
    by_level = found[-1]["tasks"][task]["by_level"] if found else {}
    levels = sorted(by_level, key=int)
    for level, colour in zip(levels, _shades(_SHADES[1], len(levels)), strict=True):
        values = by_level[level][_MEASURE[task]]
        axes.plot(range(1, len(values) + 1), values, color=colour, marker="o", label=f"level {level}")
    axes.set_xticks(range(1, len(by_level[levels[0]][_MEASURE[task]]) + 1) if levels else [])
    _shares(axes, task)
    at = f" at step {found[-1]['step']:,}" if found else ""
    _finish(axes, f"{task}: validation{at}", "decoder layer", _NAMES[_MEASURE[task]], bool(found))


def _shares(axes: Any, task: str) -> None:
    """Let the axis show all of 0 to 1, and what guessing among three answers would get."""
    axes.set_ylim(-0.02, 1.02)
    if task == "entailment":
        axes.axhline(1 / 3, color="gray", linestyle=":", linewidth=1)


def _shades(name: str, count: int) -> list[Any]:
    """Return colours from dark to light, the palest left out."""
    from matplotlib import colormaps

    return [colormaps[name](0.88 * number / max(1, count - 1)) for number in range(count)]


def _finish(axes: Any, title: str, x: str, y: str, has_points: bool) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    if has_points:
        axes.legend(fontsize=7)
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="gray")
