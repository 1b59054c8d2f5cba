"""Rows are drawn by seed alone; however rare shadows are, some are among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs.rerun_rows import DrawnRow, drawn_rows
from jobs.verify_folder import Folder, read_folder

SHADOW = {"text": "a picture", "n_tokens": 3, "layers": [6, 6, 4, 4, 4], "flops": 1100, "agrees": False}


@pytest.fixture
def folder_of(job: Any) -> Callable[..., Folder]:
    """`folder_of(n, ...)`: a finished job of 60 rows, of which those have a shadow."""

    def folder_of(*shadowed: int) -> Folder:
        for part in range(6):
            rows = range(10 * part, 10 * part + 10)
            job.commit(
                f"a1-0-{part}", *[job.row("000000-a", n, shadow=SHADOW if n in shadowed else None) for n in rows]
            )
        job.commit("a1-0-6", job.end("000000-a", 60))
        job.commit("a1-1-0", job.end("000001-b", 0))
        job.finish()
        return read_folder(job.ledger)

    return folder_of


def numbers(drawn: list[DrawnRow]) -> list[int]:
    return [row.row["row_in_shard"] for row in drawn]


def test_as_many_rows_with_a_shadow_are_drawn_as_others(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of(7, 23, 59)
    for seed in range(10):
        drawn = list(drawn_rows(folder, rows=2, seed=seed))
        assert numbers(drawn) == numbers(list(drawn_rows(folder, rows=2, seed=seed)))
        assert len([row for row in drawn if row.shadows]) >= 2
        assert len(drawn) <= 4
    [place] = next(row for row in drawn if row.shadows).shadows
    assert place.startswith("data/a1-0-")
    assert place.endswith("/0: shadow")


def test_a_row_that_is_drawn_twice_comes_once(folder_of: Callable[..., Folder]) -> None:
    drawn = list(drawn_rows(folder_of(7, 23), rows=100, seed=1))
    assert sorted(numbers(drawn)) == list(range(60))


def test_without_shadows_there_are_the_random_rows_alone(folder_of: Callable[..., Folder]) -> None:
    folder = folder_of()
    assert len(list(drawn_rows(folder, rows=5, seed=1))) == 5
    assert numbers(list(drawn_rows(folder, rows=5, seed=1))) != numbers(list(drawn_rows(folder, rows=5, seed=2)))
