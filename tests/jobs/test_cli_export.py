from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from jobs.cli_export import export
from jobs.printable import printable
from jobs.terminal import Terminal


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


def test_rows_are_counted_without_headers_and_brackets(
    mue: Callable[..., Result], finished: Any, tmp_path: Path
) -> None:
    for format, more in (("csv", []), ("coco", ["--id", "uid"]), ("ofa", ["--id", "uid"])):
        result = mue("export", finished.folder, "-f", format, *more, "--to", tmp_path / format)
        assert result.stderr == f"9 rows written to {tmp_path / format}\n"
    assert len(json.loads((tmp_path / "coco").read_text())) == 9


def test_tars_go_to_a_folder(mue: Callable[..., Result], finished: Any, tmp_path: Path) -> None:
    result = mue("export", finished.folder, "-f", "webdataset", "--to", tmp_path / "to")
    assert result.stderr.startswith("9 images in 2 tars written to ")
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["000000-a.tar", "000001-b.tar"]
    assert mue("export", finished.folder, "-f", "webdataset").exit_code == 2


def test_options_that_say_nothing_are_refused(mue: Callable[..., Result], finished: Any) -> None:
    for args in (["-f", "txt", "--id", "uid"], ["-f", "csv", "--beside"], ["-f", "coco", "--status", "all"]):
        assert mue("export", finished.folder, *args).exit_code == 2, args


def test_rows_that_two_drivers_committed_are_not_given_twice(mue: Callable[..., Result], job: Any) -> None:
    job.commit_shard("000000-a")
    job.commit("b", *(job.row("000000-a", number, text="rival") for number in range(3, 5)))
    result = mue("export", job.folder, "-f", "jsonl")
    assert result.exit_code != 0
    assert result.stdout == ""
    assert "committed twice" in result.stderr


def test_texts_of_strangers_command_no_terminal_and_reach_a_pipe_as_they_are(
    job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    hostile = "a\x1b[2J\x9b2J\u202eb"
    monkeypatch.setattr("jobs.cli_export.export_lines", lambda ledger, **options: iter([f"uid\tkey\t{hostile}\n"]))
    context: Any = SimpleNamespace(obj=Terminal())
    for screen in (Screen(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", screen)
        export(context, str(job.folder), format="txt", status="ok", to=None)
        assert screen.getvalue() == f"uid\tkey\t{printable(hostile) if screen.isatty() else hostile}\n"
