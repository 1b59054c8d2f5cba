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


HOSTILE = "a\x1b[2J\nerror: forged\u009b2J\u202eb"


def test_facts_and_messages_in_json_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(as_json=True).show("view", {HOSTILE: [HOSTILE, "ü"]})
    Terminal(log_format="json").note(HOSTILE)
    captured = capsys.readouterr()
    assert all(line.isprintable() for line in (captured.out + captured.err).splitlines())
    assert json.loads(captured.out) == {HOSTILE: [HOSTILE, "ü"]}
    assert json.loads(captured.err)["message"] == HOSTILE


def test_a_verbose_errors_traceback_has_no_line_of_the_errors_own(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        Terminal(verbosity=1).error(error)
    *traceback, said = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() and line.startswith("  ") for line in traceback)
    assert said == "error: a\ufffd[2J error: forged\ufffd2J\ufffdb"


def test_verbose_errors_have_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        Terminal(verbosity=1).error(error)
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: x\n")
