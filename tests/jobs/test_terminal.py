from __future__ import annotations

import json

import pytest

from jobs.terminal import Terminal


def test_data_and_words_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show("view", {"a": 1})
    Terminal().note("beside")
    Terminal(verbosity=-1).note("hidden")
    assert capsys.readouterr() == ("view\n", "beside\n")


def test_json_prints_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(as_json=True).show("view", {"a": 2**70, "b": "ü"})
    assert json.loads(capsys.readouterr().out) == {"a": 2**70, "b": "ü"}


def test_an_error_is_one_line_however_long_and_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().error(ValueError("[bold]x[/bold]\n" + "word " * 100))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: [bold]x[/bold] word")


def test_an_error_is_json_where_logs_are(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(log_format="json").error(ValueError("x"))
    assert json.loads(capsys.readouterr().err) == {"level": "error", "message": "x"}


def test_verbose_errors_have_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        Terminal(verbosity=1).error(error)
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: x\n")
