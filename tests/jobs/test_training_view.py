from __future__ import annotations

import io
import json

import pytest

from jobs.progress import Form
from jobs.training_view import TrainingView, validation_line
from mue_model.training.reports import Report
from mue_model.training.validation import Scores, Validation

SCORES = Scores(5, [2.0, 1.5], [0.5, 0.75], [0.2, 0.4])
VALIDATION = Validation(
    40, {"caption": SCORES, "entailment": SCORES}, {"caption": {"1": SCORES, "2": SCORES}, "entailment": {"0": SCORES}}
)


def report(step: int) -> Report:
    return Report(step, 3.25, {"caption": [4.0, 2.5], "entailment": [1.5, 0.75]}, 1e-3, 96, 0.5)


def shown(form: Form, *, every_s: float = 30.0) -> list[str]:
    """Forty steps of two rows, each of five seconds, with a report after every other one."""
    now, stream = [0.0], io.StringIO()
    view = TrainingView(form, every_s=every_s, stream=stream, clock=lambda: now[0])
    with view:
        view.note("7 parameters")
        view.begin(0, 40)
        for step in range(1, 41):
            now[0] += 5
            view.stepped(step, 2)
            if step % 2 == 0:
                view.reported(report(step))
        view.validated(VALIDATION)
    return stream.getvalue().splitlines()


def test_off_a_terminal_there_is_a_line_now_and_then_and_one_at_the_end() -> None:
    lines = shown("lines")
    assert lines[0] == "7 parameters"
    assert lines[1] == (
        "2/40 steps, 5%, loss 3.250 (caption 4.00 → 2.50, entailment 1.50 → 0.75), 0.4 rows/s, 3 min 10 s left"
    )
    steps = [int(line.split("/")[0]) for line in lines[1:-1]]
    assert steps == [2, 8, 14, 20, 26, 32, 38, 40]
    assert lines[-2].startswith("40/40 steps, 100%")
    assert lines[-1] == validation_line(VALIDATION)


def test_the_rate_is_that_of_this_attempt() -> None:
    now, stream = [0.0], io.StringIO()
    view = TrainingView("lines", stream=stream, clock=lambda: now[0])
    view.begin(1000, 1010)
    now[0] = 2.0
    view.stepped(1001, 48)
    view.reported(report(1001))
    assert "24.0 rows/s, 18 s left" in stream.getvalue()


def test_validation_is_told_by_level_where_there_are_some() -> None:
    assert validation_line(VALIDATION) == (
        "step 40, validation: caption tokens right 75.0% (level 1: 75%, 2: 75%), after layer 1 50.0%; "
        "answers right 40.0%, after layer 1 20.0%"
    )


def test_json_lines_are_those_of_the_metrics() -> None:
    lines = [json.loads(line) for line in shown("json", every_s=0)]
    assert lines[0] == {"level": "note", "message": "7 parameters"}
    assert lines[1] == report(2).document()
    assert lines[-1] == json.loads(json.dumps(VALIDATION.document()))


def test_silent_says_nothing() -> None:
    assert shown("silent") == []


def test_a_bar_shows_step_losses_and_validation() -> None:
    text = "\n".join(shown("bar"))
    assert "7 parameters" in text
    assert "40/40 steps" in text
    assert "caption 4.00 → 2.50" in text
    assert "answers right 40.0%" in text


@pytest.mark.parametrize(("quiet", "log_format", "form"), [(True, "text", []), (False, "json", ["{"])])
def test_quiet_and_log_format_choose_the_form(
    quiet: bool, log_format: str, form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    TrainingView.for_terminal(quiet=quiet, log_format=log_format).note("x")
    assert [line[0] for line in capsys.readouterr().err.splitlines()] == form
