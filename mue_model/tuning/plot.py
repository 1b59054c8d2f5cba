"""The picture of a calibration: quality against FLOPs, one panel a task. Needs matplotlib, which it imports late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mue_model.tuning.choice import Measured, baseline

PLOT_FILES = ("tune.png", "tune.svg")
_MARKS = "*PXDv"


def draw_front(
    constants: Sequence[Measured], exits: Sequence[Measured], chosen: Mapping[str, Measured], folder: Path
) -> list[Path]:
    """Write `PLOT_FILES` into `folder`.

    Args:
        constants: Points where rows do not differ in depth; a line joins the best of them.
        exits: Points whose rows differ in depth.
        chosen: Points by the name of their preset, each with a mark of its own.
        folder: Must exist.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = list(constants[0].tasks)
    with mpl.rc_context({"svg.hashsalt": "mue", "font.size": 9}):
        figure = Figure(figsize=(6 * len(tasks), 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
            _panel(axes, task, constants, exits, chosen)
        paths = [folder / name for name in PLOT_FILES]
        figure.savefig(paths[0], dpi=110)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _panel(
    axes: Any,
    task: str,
    constants: Sequence[Measured],
    exits: Sequence[Measured],
    chosen: Mapping[str, Measured],
) -> None:
    axes.scatter(*zip(*(_at(point, task) for point in constants), strict=True), s=16, color="gray")
    line = [(100 * cost, 100 * quality) for cost, quality in baseline(constants, task, "flops")]
    axes.plot(*zip(*line, strict=True), color="gray", label="constant depths")
    if exits:
        axes.scatter(*zip(*(_at(point, task) for point in exits), strict=True), s=22, color="tab:blue", label="exits")
    for number, (name, point) in enumerate(chosen.items()):
        mark = _MARKS[number % len(_MARKS)]
        axes.scatter(*_at(point, task), s=130, marker=mark, facecolors="none", edgecolors="tab:red", label=name)
    axes.set_title(f"{task}, {constants[0].tasks[task].rows:,} rows")
    axes.set_xlabel("FLOPs with checks, over full depth (%)")
    axes.set_ylabel("right (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")


def _at(point: Measured, task: str) -> tuple[float, float]:
    return 100 * point.tasks[task].spent_share, 100 * point.tasks[task].quality
