"""Whom a death makes a suspect, and with how much care it is run then."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.intents import Care, Intent, forget_settled, read_intents, suspects_of
from pipeline.receipts import LedgerError
from pipeline.records import ErrorStage
from pipeline.storage import Storage

A = "000000-a"


def intent(care: Care, *ranges: tuple[int, int], stage: ErrorStage = ErrorStage.INFER) -> Intent:
    return Intent(stage=stage, care=care, rows={A: ranges})


@pytest.mark.parametrize(
    ("care", "ranges", "following"),
    [
        (Care.TOGETHER, ((0, 512),), Care.HALVES),
        (Care.TOGETHER, ((3, 4),), Care.HALVES),
        (Care.HALVES, ((0, 16),), Care.ALONE),
        (Care.HALVES, ((3, 4),), Care.AGAIN),
        (Care.ALONE, ((3, 4),), Care.AGAIN),
        (Care.AGAIN, ((3, 4),), Care.QUARANTINE),
    ],
)
def test_care_grows_with_each_death_and_ends_with_the_row_that_was_alone_twice(
    care: Care, ranges: tuple[tuple[int, int], ...], following: Care
) -> None:
    assert intent(care, *ranges).next_care is following


def test_rows_of_several_deaths_need_the_greatest_care_and_others_none() -> None:
    suspects = suspects_of([intent(Care.TOGETHER, (0, 8)), intent(Care.HALVES, (2, 4)), intent(Care.AGAIN, (3, 4))])
    assert [suspects.of(ErrorStage.INFER, A, row) for row in (1, 2, 3, 8)] == [
        Care.HALVES,
        Care.ALONE,
        Care.QUARANTINE,
        Care.TOGETHER,
    ]
    assert suspects.of(ErrorStage.DECODE, A, 3) is Care.TOGETHER, "what a model dies of may well be decoded"
    assert suspects.quarantined() == {(A, 3)}


def test_intents_are_read_back_and_forgotten_once_nothing_of_them_is_open(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    for name, rows in (("a1-x-1", (0, 4)), ("a1-y-1", (4, 8))):
        storage.write(f"intents/{name}.json", intent(Care.TOGETHER, rows).to_json())
    assert list(read_intents(storage, owner="a1-y-").values()) == [intent(Care.TOGETHER, (4, 8))]

    forget_settled(storage, lambda shard_id, rows: (shard_id, rows) == (A, ((4, 8),)))

    assert list(read_intents(storage)) == ["intents/a1-y-1.json"]


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    storage.write("intents/x.json", b"{}")
    with pytest.raises(LedgerError, match=r"intents/x\.json.*delete it"):
        read_intents(storage)
