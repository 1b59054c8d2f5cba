"""What the terminal says of a calibration."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from jobs.tune import Tuning
from jobs.tune_settings import TuneSettings
from jobs.tune_view import tune_view
from mue_model.tuning.certificate import Verdict


def shown(found: Tuning, settings: TuneSettings) -> str:
    console = Console(file=io.StringIO(), width=300)
    console.print(tune_view(found, settings))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_point_has_its_line(tuned: Tuning, tune_settings: TuneSettings) -> None:
    lines = shown(tuned, tune_settings).splitlines()
    for point in tuned.points:
        line = next(line for line in lines if line.startswith(f"{point.name} "))
        assert line.count("%") == 5 * len(point.tasks), "right, kept, FLOPs, net work, time"
        assert line.count("±") == len(point.tasks), "what is kept has an interval"
    assert "of the quality kept" in shown(tuned, tune_settings)
    sure = shown(tuned, tune_settings.model_copy(update={"confidence": 0.95}))
    assert "99.0 % of the quality kept with 95.0 % confidence" in sure


def test_nothing_certified_is_said_in_words(tuned: Tuning, tune_settings: TuneSettings) -> None:
    verdicts = (Verdict("exits 1", 0.2, 0.1, False), Verdict("constant 1", 1.0, 0.6, False))
    none = replace(tuned, verdicts=verdicts, chosen={"balanced": None, "fast": None})
    text = shown(none, tune_settings)
    assert "nothing certified: images that had no say in the points (8 for caption, " in text
    assert " for entailment) do not show for any point" in text
    assert "the first one tested, exits 1, lost 10.0 % there (p 0.200)" in text
    assert "none: no certified point has 99.0 % of the quality kept" in text
    assert "there is no point but full depth" in shown(replace(none, verdicts=()), tune_settings)


def test_without_a_certificate_none_is_spoken_of(tuned: Tuning, tune_settings: TuneSettings) -> None:
    settings = tune_settings.model_copy(update={"certify": None, "max_flops": 0.5})
    found = replace(tuned, verdicts=None, chosen={"balanced": tuned.points[2], "fast": None})
    text = shown(found, settings)
    assert "certif" not in text
    assert "constant 2 (at most 50.0 % of the FLOPs)" in text
