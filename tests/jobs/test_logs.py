from __future__ import annotations

import json
import logging

import pytest

from jobs.logs import configure_logs


def test_logs_go_to_stderr_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbosity=0, log_format="text")
    logging.getLogger("pipeline.build").info("shard %s done", "a")
    logging.getLogger("pipeline.build").debug("hidden")
    captured = capsys.readouterr()
    assert captured.err == "INFO shard a done\n"
    assert captured.out == ""


def test_json_logs_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbosity=1, log_format="json")
    logging.getLogger("jobs.run").debug("a\nb")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("jobs.run").exception("broke")
    first, second = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (first["level"], first["logger"], first["message"]) == ("debug", "jobs.run", "a\nb")
    assert "ValueError: x" in second["traceback"]


HOSTILE = "photo/\x1b]0;pwned\x07\x1b[2J\nerror: forged line\u009b2J\u202egpj.jpg"


def test_names_in_text_logs_neither_command_a_terminal_nor_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbosity=0, log_format="text")
    logging.getLogger("pipeline").warning("not read: %s", HOSTILE)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert line.startswith("WARNING not read: photo/")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("pipeline").exception("broke", stack_info=True)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "ERROR broke"
    assert all(line.isprintable() and line.startswith("  ") for line in rest)
    assert any(line.startswith("  Traceback") for line in rest)
    assert any("ValueError: photo/" in line for line in rest)


def test_json_logs_hold_such_names_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbosity=0, log_format="json")
    name = HOSTILE + "\x7f\U000e0041 ü"  # lone surrogates: test_printable, for pytest itself cannot report logs of them
    logging.getLogger("pipeline").warning("%s", name)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert json.loads(line)["message"] == name
    assert "ü" in line, "what is harmless stays readable"


def test_quiet_leaves_errors_only_and_configuring_twice_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbosity=0, log_format="text")
    configure_logs(verbosity=-1, log_format="text")
    logging.getLogger("jobs").warning("hidden")
    logging.getLogger("jobs").error("shown")
    assert capsys.readouterr().err == "ERROR shown\n"
