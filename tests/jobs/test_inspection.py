from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from jobs.inspection import RowNotFound, find_rows, row_table, rows_view


def test_a_uid_finds_its_row_and_opens_only_its_part(finished: Any) -> None:
    for part in finished.ledger.live_parts():
        if "000000-a" in part.path:
            finished.ledger.storage.delete(part.path)
    (row,) = find_rows(finished.ledger, "000001-b/3/0")
    assert (row["uid"], row["key"], row["decoder_layers_run"]) == ("000001-b/3/0", "key-3", [1, 2, 3])


def test_a_key_finds_every_row_that_has_it(finished: Any) -> None:
    rows = find_rows(finished.ledger, "key-3")
    assert [row["uid"] for row in rows] == ["000000-a/3/0", "000001-b/3/0"]


def test_any_query_of_an_image_is_found_with_what_came_with_the_image(job: Any) -> None:
    first = job.row("000000-a", 0, meta_json='{"txt": "both"}')
    job.commit("a1-0-0", first, job.row("000000-a", 0, uid="000000-a/0/1", query=1, text="no", meta_json=None))
    [row] = find_rows(job.ledger, "000000-a/0/1")
    assert (row["text"], row["meta_json"]) == ("no", '{"txt": "both"}')
    assert [row["query"] for row in find_rows(job.ledger, "key-0")] == [0, 1]


def test_a_key_may_look_like_a_uid(job: Any) -> None:
    job.commit("a1-0-0", job.row("000000-a", 0, key="000007-x/1/0"))
    assert [row["uid"] for row in find_rows(job.ledger, "000007-x/1/0")] == ["000000-a/0/0"]


@pytest.mark.parametrize("name", ["000000-a/99/0", "000009-z/0/0", "nothing", ""])
def test_an_unknown_name_says_how_to_find_names(finished: Any, name: str) -> None:
    with pytest.raises(RowNotFound, match="mue export OUT --format jsonl --status all"):
        find_rows(finished.ledger, name)


def test_the_view_leaves_out_what_has_no_value(finished: Any) -> None:
    (row,) = find_rows(finished.ledger, "000000-a/4/0")
    console = Console(file=io.StringIO(), width=100)
    console.print(row_table(row))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "corrupt_image" in text
    assert "finish_reason" not in text


def test_names_from_a_tar_cannot_command_the_terminal(job: Any) -> None:
    job.commit("a1-0-0", job.row("000000-a", 0, key="\x1b[2Jx", text="[red]a\x1b[1A"))
    console = Console(file=io.StringIO(), width=100)
    console.print(rows_view(find_rows(job.ledger, "000000-a/0/0")))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "[red]a" in text
