"""The picture is written for one task and for two, and equal figures give equal bytes."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from mue_model.config import ExitConfig
from mue_model.tuning.choice import Measured, TaskFigures
from mue_model.tuning.net_work import NetWork
from mue_model.tuning.plot import PLOT_FILES, draw_front


def point(share: float, *tasks: str) -> Measured:
    own = TaskFigures(
        rows=10,
        quality=share,
        kept=share,
        kept_error=0.01,
        flops_executed=int(1000 * share),
        flops_checks=1,
        flops_full_same_length=1000,
        flops_share=share,
        net=NetWork(executed=1, checks=0, full=2, layers={}, asked={}),
        layers={"image": 1.0, "text": 1.0, "decoder": 1.0},
        paper_layer_metric=0.1,
        seconds=1.0,
        time_share=share,
    )
    return Measured(name=f"{share}", exits=ExitConfig(), tasks=dict.fromkeys(tasks, own))


def test_equal_figures_give_equal_bytes(tmp_path: Path) -> None:
    tasks = ("caption", "entailment")
    constants, exits = [point(0.5, *tasks), point(1.0, *tasks)], [point(0.7, *tasks)]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_front(constants, exits, {"balanced": exits[0], "fast": exits[0]}, tmp_path / name)
    for file in PLOT_FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    with Image.open(tmp_path / "a" / "tune.png") as two:
        wide = two.width
    draw_front([point(0.5, "caption")], [], {}, tmp_path / "a")
    with Image.open(tmp_path / "a" / "tune.png") as one:
        assert one.width < wide
