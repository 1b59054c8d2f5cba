"""What is committed is exactly what the table says, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.commit_table import split_commit_table, to_parquet
from pipeline.receipts import LedgerError, ShardOutcome
from pipeline.records import COMMIT_SCHEMA, ROW_SCHEMA, ShardCode, ShardState

Make = Callable[..., pa.Table]
A, B = "000000-a", "000001-b"


def _changed(table: pa.Table, index: int, **values: Any) -> pa.Table:
    records = table.to_pylist()
    records[index].update(values)
    return pa.Table.from_pylist(records, schema=COMMIT_SCHEMA)


def test_sorts_rows_and_takes_shard_ends_out(make_table: Make) -> None:
    table = make_table({B: [10, 9, 2], A: [5]}, {B: 11}, queries=2, bad="truncated")
    split = split_commit_table(table, fingerprint="abc")
    assert split.rows["uid"].to_pylist() == [
        f"{A}/5/0",
        f"{A}/5/1",
        *(f"{B}/{row}/{query}" for row in (2, 9, 10) for query in (0, 1)),
    ]
    assert split.rows["text"].to_pylist() == [f"{uid} by a" for uid in split.rows["uid"].to_pylist()]
    assert split.ranges == {A: ((5, 6),), B: ((2, 3), (9, 11))}
    assert split.totals == {B: 11}
    assert split.shards == {B: ShardOutcome(state=ShardState.BAD, code=ShardCode.TRUNCATED, message="cut off")}


def test_a_data_file_has_the_row_schema_and_says_what_made_it(make_table: Make) -> None:
    data = to_parquet(split_commit_table(make_table({A: [0]}), fingerprint="abc").rows)
    file = pq.ParquetFile(pa.BufferReader(data))
    assert file.schema_arrow.remove_metadata().equals(ROW_SCHEMA)
    assert file.schema_arrow.metadata == {
        b"row_schema_version": b"3",
        b"fingerprint": b"abc",
        b"results_version": b"1",
    }
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert data == to_parquet(split_commit_table(make_table({A: [0]}), fingerprint="abc").rows)


def test_takes_tables_in_pieces(make_table: Make) -> None:
    pieces = pa.concat_tables([make_table({A: [1]}, {A: 2}), make_table({A: [0]}, {B: 0})])
    split = split_commit_table(pieces, fingerprint="f")
    assert split.rows["row_in_shard"].to_pylist() == [0, 1]
    assert split.totals == {A: 2, B: 0}


@pytest.mark.parametrize(
    ("index", "values", "message"),
    [
        (1, {"uid": f"{A}/0/0", "row_in_shard": 0}, "uid 000000-a/0/0 occurs twice"),
        (1, {"uid": f"{A}/7/0"}, "uid 000000-a/7/0 does not agree"),
        (1, {"uid": f"{A}/-1/0", "row_in_shard": -1}, "000000-a/-1/0 has a negative row_in_shard"),
        (1, {"task": None}, "row 000000-a/1/0 has no 'task'"),
        (1, {"query": None}, "row 000000-a/1/0 has no 'query'"),
        (1, {"uid": None}, "both a uid and a shard total, or neither"),
        (1, {"shard_total": 3}, "both a uid and a shard total, or neither"),
        (2, {"shard_state": "odd"}, "control row of shard 000000-a is wrong"),
        (2, {"shard_code": "odd"}, "control row of shard 000000-a is wrong"),
        (2, {"shard_total": -1}, "control row of shard 000000-a says -1 rows"),
        (2, {"shard_id": None}, "control row of shard None"),
    ],
)
def test_refuses_rows_that_are_not_fit(make_table: Make, index: int, values: dict[str, Any], message: str) -> None:
    table = make_table({A: [0, 1]}, {A: 2})
    with pytest.raises(LedgerError, match=message):
        split_commit_table(_changed(table, index, **values), fingerprint="f")


@pytest.mark.parametrize(
    ("kept", "stated"),
    [([0, 2], None), ([1, 2], None), ([1], None), ([0, 1], 3), ([0, 1, 2], 2)],
    ids=["one in the middle", "the first", "all but one", "the last", "more than there are"],
)
def test_refuses_an_image_that_is_not_whole(make_table: Make, kept: list[int], stated: int | None) -> None:
    table = make_table({A: [0, 1, 2]}, queries=3)
    rows = [
        {**row, "image_queries": stated if row["row_in_shard"] == 1 else 3}
        for row in table.to_pylist()
        if row["row_in_shard"] != 1 or row["query"] in kept
    ]
    with pytest.raises(LedgerError, match=r"image 000000-a/1 is not whole: .*committed together"):
        split_commit_table(pa.Table.from_pylist(rows, schema=COMMIT_SCHEMA), fingerprint="f")


def test_takes_images_that_are_whole_in_any_order(make_table: Make) -> None:
    table = make_table({A: [4, 0], B: [4]}, queries=3)
    rows = [{**row, "image_queries": 3 if row["row_in_shard"] else None} for row in table.to_pylist()[::-1]]
    split = split_commit_table(pa.Table.from_pylist(rows, schema=COMMIT_SCHEMA), fingerprint="f")
    assert split.rows["query"].to_pylist() == [0, 1, 2] * 3


def test_refuses_a_shard_that_ends_twice(make_table: Make) -> None:
    ends = make_table({}, {A: 2})
    with pytest.raises(LedgerError, match="shard 000000-a ends twice"):
        split_commit_table(pa.concat_tables([ends, ends]), fingerprint="f")


def test_refuses_another_schema(make_table: Make) -> None:
    table = make_table({A: [0]})
    flops = table.schema.get_field_index("flops_executed")
    cases = {
        "'uid' is missing": table.drop_columns(["uid"]),
        "'extra' is unknown": table.append_column("extra", table["uid"]),
        "'flops_executed' is double, expected int64": table.set_column(
            flops, "flops_executed", pa.nulls(1, pa.float64())
        ),
        "columns are in another order": table.select(table.schema.names[::-1]),
    }
    for message, wrong in cases.items():
        with pytest.raises(LedgerError, match=message):
            split_commit_table(wrong, fingerprint="f")
