from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result


@pytest.mark.parametrize("place", [0, -1])
def test_global_options_may_stand_anywhere(mue: Callable[..., Result], finished: Any, place: int) -> None:
    arguments: list[Any] = ["status", finished.folder]
    arguments.insert(place if place == 0 else len(arguments), "--json")
    assert json.loads(mue(*arguments).stdout)["state"] == "finished"


def test_after_two_dashes_everything_is_an_argument(mue: Callable[..., Result], finished: Any) -> None:
    assert "'--json'" in mue("inspect", "-o", finished.folder, "--", "--json").stderr


@pytest.mark.parametrize("command", ["status", "failures", "export --format txt", "inspect x -o"])
def test_a_folder_without_a_job_is_a_usage_error(mue: Callable[..., Result], tmp_path: Path, command: str) -> None:
    name, *options = command.split()
    arguments = [name, *options, tmp_path] if options[-1:] == ["-o"] else [name, tmp_path, *options]
    result = mue(*arguments)
    assert result.exit_code == 2
    assert re.fullmatch(r"error: .*no job here.*\n", result.stderr)
    assert "Traceback" in mue(*arguments, "-v").stderr


def test_a_damaged_ledger_is_a_failure_that_names_the_file(mue: Callable[..., Result], finished: Any) -> None:
    finished.ledger.storage.write("plan.json", b"{}")
    result = mue("status", finished.folder)
    assert result.exit_code == 1
    assert "plan.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_closed_pipe_ends_quietly(job: Any) -> None:
    job.commit("a1-0-0", *[job.row("000000-a", n, text="word " * 200) for n in range(500)])
    export = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "export", str(job.folder), "--format", "txt", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert export.stdout is not None
    assert export.stderr is not None
    export.stdout.readline()
    export.stdout.close()
    assert export.stderr.read() == b""
    assert export.wait(timeout=30) == 1
