from __future__ import annotations

from pathlib import Path

import pytest

from mue_model.training.reports import MetricsFile, Window


def test_a_report_holds_means_by_task_and_layer() -> None:
    window = Window()
    window.add(2.0, {"caption": [1.0, 3.0]}, 4, 0.5)
    window.add(1.0, {"entailment": [0.5, 0.5]}, 6, 1.0)
    window.add(6.0, {"caption": [3.0, 9.0]}, 4, 1.5)
    report = window.report(30, 1e-3)
    assert report.loss == 3.0
    assert report.cross_entropy == {"caption": [2.0, 6.0], "entailment": [0.5, 0.5]}
    assert (report.rows, report.step_s, report.step) == (14, pytest.approx(1.0), 30)


def test_later_steps_and_a_cut_line_are_dropped(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (2, 4, 6):
        metrics.append({"step": step})
    with metrics.path.open("a") as file:
        file.write('{"step": 8')
    assert [line["step"] for line in metrics.read()] == [2, 4, 6]
    metrics.drop_after(4)
    assert metrics.path.read_text() == '{"step": 2}\n{"step": 4}\n'


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    assert list(metrics.read()) == []
    metrics.drop_after(0)
    assert list(metrics.read()) == []
