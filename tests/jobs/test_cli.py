from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

COMMANDS = ["run", "status", "inspect", "failures", "export", "doctor", "config init", "config show", "config schema"]
COMMANDS += ["model convert", "model show", "model digest"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_a_purpose_and_an_example(mue: Callable[..., Result], command: str) -> None:
    result = mue(*command.split(), "--help")
    assert result.exit_code == 0
    assert re.search(r"Example:\n    mue " + command, result.stdout), result.stdout
    assert re.search(r"Usage: .*\n\n  [A-Z].*\.?", result.stdout)


def test_options_are_explained_by_the_settings_own_docstrings(mue: Callable[..., Result]) -> None:
    text = " ".join(mue("run", "--help").stdout.split())
    assert "`seeded` is a small untrained model whose texts mean nothing." in text
    assert "relative to the current directory" in text


def test_status_is_data_on_stdout(mue: Callable[..., Result], finished: Any) -> None:
    text, facts = mue("status", finished.folder), mue("status", finished.folder, "--json")
    assert text.exit_code == facts.exit_code == 0
    assert "finished: every row is committed exactly once" in text.stdout
    assert json.loads(facts.stdout)["summary"]["flops_executed"] == 5400
    assert text.stderr == facts.stderr == ""


@pytest.mark.parametrize("place", [0, -1])
def test_global_options_may_stand_anywhere(mue: Callable[..., Result], finished: Any, place: int) -> None:
    arguments: list[Any] = ["status", finished.folder]
    arguments.insert(place if place == 0 else len(arguments), "--json")
    assert json.loads(mue(*arguments).stdout)["state"] == "finished"


def test_inspect_by_uid_and_key(mue: Callable[..., Result], finished: Any) -> None:
    (row,) = json.loads(mue("inspect", "000001-b/2/0", "--output", finished.folder, "--json").stdout)
    assert row["key"] == "key-2"
    assert len(json.loads(mue("--json", "inspect", "key-2", "-o", finished.folder).stdout)) == 2
    assert "key-2" in mue("inspect", "000001-b/2/0", "-o", finished.folder).stdout
    missing = mue("inspect", "000001-b/99/0", "-o", finished.folder)
    assert (missing.exit_code, missing.stdout) == (1, "")


def test_failures_are_lines(mue: Callable[..., Result], finished: Any) -> None:
    result = mue("failures", finished.folder)
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == "failed rows: 1, bad shards: 0\n"
    assert json.loads(mue("failures", finished.folder, "--json").stdout)["code"] == "corrupt_image"
    assert mue("failures", finished.folder, "--code", "truncated", "-q").output == ""
    assert mue("failures", finished.folder, "--code", "nonsense").exit_code == 2


def test_export_to_stdout_and_to_a_file(mue: Callable[..., Result], finished: Any, tmp_path: Path) -> None:
    result = mue("export", finished.folder, "--format", "jsonl")
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 9
    written = mue("export", finished.folder, "--format", "txt", "--status", "all", "--to", tmp_path / "t.txt")
    assert written.stdout == ""
    assert written.stderr == f"10 rows written to {tmp_path / 't.txt'}\n"
    assert len((tmp_path / "t.txt").read_text().splitlines()) == 10


def test_exporting_an_unfinished_job_is_said(mue: Callable[..., Result], job: Any) -> None:
    job.commit_shard("000000-a")
    assert "not finished" in mue("export", job.folder, "--format", "txt").stderr


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "no input given"),
        (["run", "x.tar"], "no output folder given; add --output OUT"),
        (["run", "x.tar", "-o", "o", "--set", "exits.imgae=1"], "did you mean 'image'?"),
        (["run", "x.tar", "-o", "o", "--actors", "x"], "expected a number or MIN:MAX"),
        (["run", "-c", "nowhere.yaml"], "no such file"),
        (["statsu"], "status"),
        (["status"], "OUT"),
        (["export", "o", "--format", "xml"], "jsonl"),
    ],
)
def test_usage_errors_end_with_2(mue: Callable[..., Result], arguments: list[str], said: str) -> None:
    result = mue(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_doctor_says_ok_or_what_to_do(mue: Callable[..., Result]) -> None:
    result = mue("doctor", "--json")
    checks = json.loads(result.stdout)
    assert result.exit_code == (1 if any(check["level"] == "fail" for check in checks) else 0)
    assert {"python", "memory", "accelerator"} <= {check["name"] for check in checks}


# In processes of their own: what is imported, and what a shell sees.

PROBE = """
import shlex, sys
from typer.testing import CliRunner
from jobs.cli import app
for line in sys.argv[1:]:
    assert CliRunner().invoke(app, shlex.split(line)).exit_code == 0, line
print(sorted({"torch", "ray"} & set(sys.modules)))
"""


def test_help_and_reading_commands_import_neither_torch_nor_ray(finished: Any) -> None:
    out = f"'{finished.folder}'"
    lines = ["--help", "run --help", "config init", "model show seeded", f"status {out}", f"failures {out}"]
    lines += [f"inspect key-1 -o {out}", f"export {out} -f txt"]
    done = subprocess.run([sys.executable, "-c", PROBE, *lines], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_command_speaks_to_a_shell(finished: Any) -> None:
    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobs.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good, bad = shell("status", str(finished.folder), "--json"), shell("status", str(finished.folder / "no"))
    assert (good.returncode, json.loads(good.stdout)["state"], good.stderr) == (0, "finished", "")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert re.fullmatch(r"error: .*\n", bad.stderr)


def test_a_closed_pipe_ends_quietly(job: Any) -> None:
    job.commit("a1-0-0", *[job.row("000000-a", n, text="word " * 200) for n in range(500)])
    export = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "export", str(job.folder), "--format", "txt", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert export.stdout is not None
    assert export.stderr is not None
    export.stdout.readline()
    export.stdout.close()
    assert export.stderr.read() == b""
    assert export.wait(timeout=30) == 1


def test_version_is_printed(mue: Callable[..., Result]) -> None:
    assert re.fullmatch(r"mue \d+\.\d+\.\d+\S*\n", mue("--version").stdout)
