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


def test_quiet_leaves_errors_only_and_configuring_twice_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbosity=0, log_format="text")
    configure_logs(verbosity=-1, log_format="text")
    logging.getLogger("jobs").warning("hidden")
    logging.getLogger("jobs").error("shown")
    assert capsys.readouterr().err == "ERROR shown\n"
