from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

COMMANDS = [
    "run",
    "plan",
    "status",
    "inspect",
    "failures",
    "retry",
    "export",
    "repair",
    "eval",
    "doctor",
    "config init",
    "config show",
    "config schema",
]
COMMANDS += ["submit", "logs", "cancel", "resume", "scale", "cluster", "cluster init", "cluster render"]
COMMANDS += ["model convert", "model show", "model digest", "audit", "audit plan", "audit run"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_a_purpose_and_an_example(mue: Callable[..., Result], command: str) -> None:
    result = mue(*command.split(), "--help")
    assert result.exit_code == 0
    assert re.search(r"Example:\n    mue " + command, result.stdout), result.stdout
    assert re.search(r"Usage: .*\n\n  [A-Z].*\.?", result.stdout)


def test_options_are_explained_by_the_settings_own_docstrings(mue: Callable[..., Result]) -> None:
    text = " ".join(mue("run", "--help").stdout.split())
    assert "knows the drawn scenes of 'mue corpus', nothing else" in text
    assert "relative to the current directory" in text


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
    lines += [f"inspect key-1 -o {out}", f"export {out} -f txt", f"eval {out} -r source"]
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


def test_version_is_printed(mue: Callable[..., Result]) -> None:
    assert re.fullmatch(r"mue \d+\.\d+\.\d+\S*\n", mue("--version").stdout)
