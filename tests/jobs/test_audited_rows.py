"""What comes back from full depth is judged against what is committed, for the very images that were answered."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from jobs.audited_rows import AuditedRows, InputsChanged
from jobs.shadow_sample import SelectedRow
from pipeline.records import COMMIT_SCHEMA

A = "000000-a"


def wanted(number: int, answer: str, *, query: int = 0) -> SelectedRow:
    return SelectedRow(
        uid=f"{A}/{number}/{query}", shard_id=A, image=(A, number), stratum="deep", rate=0.1, answer=answer,
        image_sha256=f"digest {number}", n_tokens=2, flops_full_same_length=9, shadow=None,
    )  # fmt: skip


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([*rows, {"shard_id": A, "shard_total": 5}], schema=COMMIT_SCHEMA)


def again(number: int, text: str, full: str | None, *, query: int = 0, **changes: Any) -> dict[str, Any]:
    shadow = (
        None if full is None else {"text": full, "n_tokens": 2, "layers": [6, 6], "flops": 7, "agrees": text == full}
    )
    identity = {"uid": f"{A}/{number}/{query}", "shard_id": A, "row_in_shard": number, "query": query}
    found = {"status": "ok", "text": text, "image_sha256": f"digest {number}", "shadow": shadow}
    return {**identity, **found, **changes}


def test_full_depth_is_held_against_the_committed_answer_not_against_today_s() -> None:
    rows = AuditedRows([wanted(0, "a dog"), wanted(1, "a cat"), wanted(2, "a bird")])
    rows.take(table(again(2, "a bird", "a bird"), again(0, "a dog", "a fox"), again(4, "not asked for", "x")))
    rows.take(table(again(1, "a cow", "a cow")))
    found = {row["uid"][-3:]: row for row in rows.table().to_pylist()}
    assert list(found) == ["0/0", "1/0", "2/0"]
    assert {uid: (row["reproduced"], row["shadow"]["agrees"]) for uid, row in found.items()} == {
        "0/0": (True, False),
        "1/0": (False, False),
        "2/0": (True, True),
    }
    assert found["1/0"]["answer"] == "a cat"


def test_rows_that_fail_or_lose_their_shadow_are_left_out() -> None:
    rows = AuditedRows([wanted(0, "a dog"), wanted(1, "a cat")])
    rows.take(table(again(0, "a dog", None), again(1, "", None, status="failed", error_stage="infer")))
    assert (rows.done, rows.table().num_rows) == (2, 0)


def test_labels_are_the_answers_where_candidates_are_scored() -> None:
    rows = AuditedRows([wanted(0, "neutral")])
    rows.take(table(again(0, "maybe", "neutral", label="neutral")))
    [row] = rows.table().to_pylist()
    assert (row["reproduced"], row["shadow"]["agrees"]) == (True, True)


def test_an_image_is_open_until_its_last_selected_row_came() -> None:
    rows = AuditedRows([wanted(3, "a"), wanted(3, "b", query=2), wanted(1, "c")])
    assert rows.open_rows() == {A: ((1, 2), (3, 4))}
    rows.take(table(again(3, "a", "a")))
    assert rows.is_open(A, ((3, 4),))
    rows.take(table(again(3, "b", "b", query=2)))
    assert not rows.is_open(A, ((3, 4),))
    assert rows.is_open(A, ((0, 9),))
    assert (rows.wanted, rows.done) == (3, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_sha256": "another"},
        {"status": "failed", "error_stage": "decode"},
        {"status": "failed", "error_stage": "read", "image_sha256": None},
    ],
)
def test_another_image_in_the_place_of_the_one_answered_is_refused_by_name(changes: dict[str, Any]) -> None:
    rows = AuditedRows([wanted(0, "a dog"), wanted(1, "a cat")])
    rows.take(table(again(0, "a dog", "a dog"), again(1, "a cat", "a cat", **changes)))
    with pytest.raises(InputsChanged, match=r"1 images are not the ones .* any more: 000000-a/1/0;"):
        rows.table()
