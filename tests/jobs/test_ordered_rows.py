from __future__ import annotations

from typing import Any

import pyarrow as pa

from jobs.ordered_rows import OrderedRows
from pipeline.records import COMMIT_SCHEMA


def test_rows_come_by_their_number_from_parts_that_take_turns(job: Any) -> None:
    job.commit("b", job.row("000000-a", 2), job.row("000001-b", 1), job.row("000000-a", 3))
    job.commit("c", job.row("000000-a", 0), job.row("000000-a", 4))
    job.commit("a", job.row("000000-a", 1), job.row("000001-b", 0), job.row("000001-b", 2))
    rows = OrderedRows(job.ledger, ["key"])
    assert [row["key"] for row in rows.of("000000-a")] == [f"key-{n}" for n in range(5)]
    assert [row["row_in_shard"] for row in rows.of("000001-b")] == [0, 1, 2]
    assert list(rows.of("000009-z")) == []


def test_equal_numbers_of_two_shards_in_one_part_stay_apart(job: Any) -> None:
    job.commit("a", *(job.row(shard, 0, text=shard) for shard in ("000000-a", "000001-b")))
    assert [row["text"] for row in OrderedRows(job.ledger, ["text"]).of("000001-b")] == ["000001-b"]


def test_a_replaced_part_is_not_read(job: Any) -> None:
    job.commit("a", job.failed_row("000000-a", 0), job.row("000000-a", 1))
    rows = (job.row("000000-a", 0, text="anew"), job.row("000000-a", 1))
    table = pa.Table.from_pylist(list(rows), schema=COMMIT_SCHEMA)
    job.ledger.commit(table, name="b", attempt="a2", fingerprint="f" * 64, replaces=["data/a.parquet"])
    assert [row["text"] for row in OrderedRows(job.ledger, ["text"]).of("000000-a")] == ["anew", "a picture of\t1"]


def test_queries_of_an_image_come_together_with_its_members(job: Any) -> None:
    first = job.row("000000-a", 0, meta_json='{"txt": "both"}')
    second = job.row("000000-a", 0, uid="000000-a/0/1", query=1, meta_json=None)
    job.commit("a", first, second, job.row("000000-a", 1, meta_json='{"txt": "other"}'))
    images = list(OrderedRows(job.ledger, ["uid", "meta_json"]).images_of("000000-a"))
    assert [[row["uid"] for row in image] for image in images] == [
        ["000000-a/0/0", "000000-a/0/1"],
        ["000000-a/1/0"],
    ]
    assert images[0][1]["meta_json"] == '{"txt": "both"}'
