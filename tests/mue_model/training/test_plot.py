from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mue_model.processor import Processor
from mue_model.training.examples import Example
from mue_model.training.plot import PLOT_FILES, can_plot, draw_curves
from mue_model.training.reports import MetricsFile
from mue_model.training.trainer import Trainer
from mue_model.training.validation import Validator


@pytest.fixture
def trained(make_trainer: Callable[..., Trainer], examples: list[Example], processor: Processor) -> Trainer:
    pytest.importorskip("matplotlib")
    trainer = make_trainer(steps=6, report_every=2, validate_every=3, validator=Validator(examples, processor))
    trainer.run()
    return trainer


def test_curves_hold_layers_and_levels_and_are_a_function_of_the_metrics(trained: Trainer, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    paths = draw_curves(trained.metrics, trained.folder)
    again = draw_curves(trained.metrics, tmp_path / "again")
    assert [path.name for path in paths] == list(PLOT_FILES)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    with Image.open(paths[0]) as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50
    svg = paths[1].read_text()
    for text in ("caption: training", "entailment: validation at step 6", "layer 3", "level 2"):
        assert f"<!-- {text} -->" in svg


def test_a_run_without_validation_has_curves_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append({"event": "training", "step": 2, "cross_entropy": {"caption": [1.0, 0.5]}})
    assert all(path.stat().st_size > 1000 for path in draw_curves(metrics, tmp_path))


def test_without_matplotlib_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not can_plot()
