from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.export import export_lines, write_lines
from mue_model.config import ConfigError
from pipeline.records import ROW_SCHEMA


def test_jsonl_has_every_column_of_every_good_row(finished: Any) -> None:
    rows = [json.loads(line) for line in export_lines(finished.ledger, format="jsonl")]
    assert len(rows) == 9
    assert all(list(row) == ROW_SCHEMA.names for row in rows)
    assert rows[0]["meta_json"] == '{"source": "ü"}'


def test_all_rows_are_exported_on_request(finished: Any) -> None:
    rows = [json.loads(line) for line in export_lines(finished.ledger, format="jsonl", status="all")]
    assert len({row["uid"] for row in rows}) == 10
    assert [row["error_code"] for row in rows if row["status"] == "failed"] == ["corrupt_image"]


def test_txt_has_three_columns_whatever_the_text_holds(finished: Any) -> None:
    lines = list(export_lines(finished.ledger, format="txt", status="all"))
    assert lines[0] == "000000-a/0/0\tkey-0\ta picture of 0\n"
    assert lines[4] == "000000-a/4/0\tkey-4\t\n"
    assert all(line.count("\t") == 2 and line.count("\n") == 1 for line in lines)


def test_every_query_is_a_line_with_what_came_with_its_image(job: Any) -> None:
    first = job.row("000000-a", 0, meta_json='{"txt": "both"}')
    second = job.row("000000-a", 0, uid="000000-a/0/1", query=1, text="no", meta_json=None)
    job.commit("a1-0-0", first, second, job.row("000000-a", 1, meta_json='{"txt": "other"}'))
    rows = [json.loads(line) for line in export_lines(job.ledger, format="jsonl")]
    assert [(row["uid"], json.loads(row["meta_json"])["txt"]) for row in rows] == [
        ("000000-a/0/0", "both"),
        ("000000-a/0/1", "both"),
        ("000000-a/1/0", "other"),
    ]
    assert list(export_lines(job.ledger, format="txt"))[1] == "000000-a/0/1\tkey-0\tno\n"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "new" / "rows.txt"
    assert write_lines(iter(["a\n", "b\n"]), str(target)) == 2
    assert target.read_text() == "a\nb\n"

    def broken() -> Iterator[str]:
        yield "c\n"
        raise RuntimeError("storage went away")

    with pytest.raises(RuntimeError):
        write_lines(broken(), str(target))
    assert target.read_text() == "a\nb\n"
    assert [path.name for path in target.parent.iterdir()] == ["rows.txt"]


@pytest.mark.parametrize("target", ["file/rows.txt", "."])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"--to {target}: cannot be written: "):
        write_lines(iter(["a\n"]), target)


def test_csv_is_read_back_whatever_a_text_holds(job: Any) -> None:
    text = 'two\nlines, "quotes"'
    job.commit("a", job.row("000000-a", 0, text=text), job.failed_row("000000-a", 1))
    rows = list(csv.DictReader(io.StringIO("".join(export_lines(job.ledger, format="csv", status="all")), newline="")))
    assert list(rows[0]) == ROW_SCHEMA.names
    assert rows[0]["text"] == text
    assert json.loads(rows[0]["decoder_layers_run"]) == [1, 2, 3]
    assert [row["label"] for row in rows] == ["", ""]
    assert rows[1]["error_code"] == "corrupt_image"
