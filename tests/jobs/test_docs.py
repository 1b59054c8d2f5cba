"""The pages under docs/: every command is run by a test, or says that it was not; what needs no cluster runs here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import Result

from jobs.cli import app

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("laptop", "ray-cluster", "kubernetes", "slurm", "audit", "calibration")
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*?) -->\n)?```sh\n(?P<body>.*?)```", re.DOTALL)


def blocks(page: str) -> list[tuple[str, list[str]]]:
    """The shell blocks of a page: how each is marked, and its commands."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    return [(match["mark"] or "", match["body"].strip().splitlines()) for match in BLOCK.finditer(text)]


def commands(page: str) -> list[list[str]]:
    """The words of every `mue` command on a page, without comments, pipes and files."""
    found = []
    for _, lines in blocks(page):
        for line in lines:
            words = shlex.split(line, comments=True)
            ends = [n for n, word in enumerate(words) if word in (">", "|", "&")]
            found.append(words[: ends[0]] if ends else words)
    return [words for words in found if words[0] == "mue"]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_whether_it_was_run(page: str) -> None:
    found = blocks(page)
    assert found
    for mark, lines in found:
        assert re.match(r"run$|rendered only: .+|shown only: .+", mark), lines
        assert mark.startswith("rendered only") or not any(
            line.startswith(("kubectl", "docker", "sbatch")) for line in lines
        )


def test_a_job_of_any_size_can_be_applied() -> None:
    """Else kubectl writes a copy into an annotation, which takes 256 KiB; a job's file may have 1 MiB."""
    root = DOCS.parent
    texts = [
        path.read_text("utf-8") for path in (DOCS / "kubernetes.md", root / "README.md", root / "jobs/cli_cluster.py")
    ]
    found = [line for text in texts for line in text.splitlines() if "kubectl apply " in line]
    assert len(found) == 4
    assert all("kubectl apply --server-side -f" in line for line in found)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(page: str) -> None:
    root = typer.main.get_command(app)
    for words in commands(page):
        command, rest = root, words[1:]
        rest = rest[2:] if rest[0] == "--log-format" else rest
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert not [word for word in rest if word.startswith("--") and word not in options], words


@pytest.mark.parametrize(("page", "kinds"), [("kubernetes", {"RayJob", "RayCluster", "ConfigMap"}), ("slurm", set())])
def test_what_is_rendered_there_renders(
    mue: Callable[..., Result], page: str, kinds: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: set[str] = set()
    for mark, lines in blocks(page):
        for line in lines if mark == "run" else []:
            command, _, file = line.partition(" > ")
            done = mue(*shlex.split(command)[1:])
            assert done.exit_code == 0, (line, done.stderr)
            (tmp_path / file).write_text(done.stdout)
            if "render ray" in line:
                seen |= {document["kind"] for document in yaml.safe_load_all(done.stdout)}
            elif "render slurm" in line:
                assert done.stdout.startswith("#!/usr/bin/env bash")
    assert seen == kinds
