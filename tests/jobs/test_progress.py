from __future__ import annotations

import io
import json

import pytest

from jobs.progress import ProgressView, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_off_a_terminal_one_line_every_few_seconds_and_the_last_state() -> None:
    stream, clock = io.StringIO(), Clock()
    with ProgressView("lines", every_s=10, stream=stream, clock=clock) as view:
        for second in range(26):
            clock.now = second
            view.update(second * 10, 1000, False, 1, 0, 4)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[1] == "100 of 1,000 rows, 10%, 10.0/s, 1 min 30 s left, 1 failed, 0 of 4 shards"
    assert lines[-1].startswith("250 of 1,000 rows")
    assert "\x1b" not in stream.getvalue()


def test_rows_of_an_earlier_attempt_do_not_count_as_speed() -> None:
    stream, clock = io.StringIO(), Clock()
    with ProgressView("lines", every_s=0, stream=stream, clock=clock) as view:
        view.update(5000, 6000, False, 0, 5, 6)
        clock.now = 10
        view.update(5010, 6000, False, 0, 5, 6)
    first, second = stream.getvalue().splitlines()
    assert "/s" not in first
    assert "1.0/s, 16 min 30 s left" in second


def test_a_slow_start_is_forgotten_after_the_window() -> None:
    stream, clock = io.StringIO(), Clock()
    with ProgressView("lines", every_s=0, stream=stream, clock=clock) as view:
        for second in range(0, 400, 10):
            clock.now = second
            view.update(0 if second < 100 else (second - 100) * 5, 10_000, False, 0, 0, 1)
    assert ", 5.0/s" in stream.getvalue().splitlines()[-1]


def test_an_estimated_total_is_marked_and_an_unknown_one_left_out() -> None:
    stream = io.StringIO()
    with ProgressView("lines", every_s=0, stream=stream) as view:
        view.update(5, None, False, 0, 0, 2)
        view.update(5, 10, True, 0, 0, 2)
    unknown, estimated = stream.getvalue().splitlines()
    assert unknown.startswith("5 rows, 0 failed")
    assert estimated.startswith("5 of ~10 rows, ~50%")


def test_not_quite_all_is_never_a_hundred_percent() -> None:
    stream = io.StringIO()
    with ProgressView("lines", every_s=0, stream=stream) as view:
        view.update(9_999, 10_000, False, 0, 0, 2)
    assert " 99%" in stream.getvalue()


def test_an_empty_job_is_complete() -> None:
    stream = io.StringIO()
    with ProgressView("lines", every_s=0, stream=stream) as view:
        view.update(0, 0, False, 0, 1, 1)
    assert stream.getvalue() == "0 of 0 rows, 100%, 0 failed, 1 of 1 shards\n"


def test_json_lines_parse() -> None:
    stream = io.StringIO()
    with ProgressView("json", every_s=0, stream=stream) as view:
        view.update(1, 2, False, 0, 0, 1)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["rows_total"] == 2


def test_silent_says_nothing_and_the_bar_stays_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("silent", "bar"):
        stream = io.StringIO()
        with ProgressView(form, stream=stream) as view:  # type: ignore[arg-type]
            view.update(1, 2, False, 0, 0, 1)
        assert bool(stream.getvalue()) == (form == "bar")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 01 s"), (7500, "2 h 05 min"), (200_000, "2 d 07 h")]
)
def test_durations_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
