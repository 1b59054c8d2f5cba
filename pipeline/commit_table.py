"""From a table of the pipeline's last stage to what is committed: rows, their ranges, and shard ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.intervals import Ranges, of_numbers
from pipeline.receipts import LedgerError, ShardOutcome
from pipeline.records import COMMIT_SCHEMA, ROW_SCHEMA, row_schema_with_metadata

_ORDER = [("shard_id", "ascending"), ("row_in_shard", "ascending"), ("query", "ascending")]


@dataclass(frozen=True)
class CommitTable:
    """Rows of `ROW_SCHEMA`, sorted, each uid once; and the ends of shards that came with them."""

    rows: pa.Table
    ranges: dict[str, Ranges]
    totals: dict[str, int]
    shards: dict[str, ShardOutcome]


def split_commit_table(table: pa.Table, *, fingerprint: str) -> CommitTable:
    """Return the rows and the control rows of `table` apart, or raise `LedgerError` saying what is wrong."""
    _check_schema(table.schema)
    control = pc.is_null(table["uid"])
    if not pc.all(pc.equal(control, pc.is_valid(table["shard_total"])), min_count=0).as_py():
        raise LedgerError("a row has both a uid and a shard total, or neither; a control row has only the total")
    ends = table.filter(control).select(["shard_id", "shard_total", "shard_state", "shard_code", "shard_message"])
    told = table.filter(pc.invert(control)).sort_by(_ORDER)
    rows = told.select(ROW_SCHEMA.names)
    _check_rows(rows)
    _check_images(told)
    totals: dict[str, int] = {}
    shards: dict[str, ShardOutcome] = {}
    for end in ends.to_pylist():
        shard_id = end["shard_id"]
        if shard_id in totals:
            raise LedgerError(f"shard {shard_id} ends twice in one table; each shard has one control row")
        try:
            shards[shard_id] = ShardOutcome(
                state=end["shard_state"], code=end["shard_code"], message=end["shard_message"]
            )
        except ValueError as error:
            raise LedgerError(f"the control row of shard {shard_id} is wrong: {error}") from error
        if shard_id is None or end["shard_total"] < 0:
            raise LedgerError(f"the control row of shard {shard_id} says {end['shard_total']} rows; it needs both")
        totals[shard_id] = end["shard_total"]
    rows = pa.Table.from_arrays(rows.columns, schema=row_schema_with_metadata(fingerprint))
    return CommitTable(rows, ranges_of(rows), totals, shards)


def ranges_of(rows: pa.Table) -> dict[str, Ranges]:
    """Return the ranges of row_in_shard that `rows` hold, by shard."""
    numbers: dict[str, list[int]] = {}
    for shard_id, number in zip(rows["shard_id"].to_pylist(), rows["row_in_shard"].to_pylist(), strict=True):
        numbers.setdefault(shard_id, []).append(number)
    return {shard_id: of_numbers(found) for shard_id, found in numbers.items()}


def to_parquet(rows: pa.Table) -> bytes:
    """Return `rows` as a data file; equal tables give equal bytes with the same pyarrow."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _check_schema(schema: pa.Schema) -> None:
    if schema.equals(COMMIT_SCHEMA):
        return
    wanted = {field.name: field for field in COMMIT_SCHEMA}
    given = {field.name: field for field in schema}
    problems = [f"'{name}' is missing" for name in wanted if name not in given]
    problems += [f"'{name}' is unknown" for name in given if name not in wanted]
    problems += [
        f"'{name}' is {given[name].type}{'' if given[name].nullable else ' not null'}, expected {wanted[name].type}"
        for name in wanted
        if name in given and not given[name].equals(wanted[name])
    ]
    raise LedgerError(f"the table is not of COMMIT_SCHEMA: {'; '.join(problems) or 'its columns are in another order'}")


def _check_rows(rows: pa.Table) -> None:
    """Every uid once and made of the row's own identity; no null where the row schema has none."""
    for field in ROW_SCHEMA:
        if not field.nullable and rows[field.name].null_count:
            where = pc.filter(rows["uid"], pc.is_null(rows[field.name]))[0].as_py()
            raise LedgerError(f"row {where} has no '{field.name}', which every row must have")
    negative = pc.filter(rows["uid"], pc.less(rows["row_in_shard"], 0))
    if len(negative):
        raise LedgerError(f"row {negative[0].as_py()} has a negative row_in_shard; rows count from 0")
    expected = pc.binary_join_element_wise(
        rows["shard_id"], pc.cast(rows["row_in_shard"], pa.string()), pc.cast(rows["query"], pa.string()), "/"
    )
    wrong = pc.filter(rows["uid"], pc.not_equal(rows["uid"], expected))
    if len(wrong):
        raise LedgerError(f"uid {wrong[0].as_py()} does not agree with its row's shard_id, row_in_shard and query")
    if len(pc.unique(rows["uid"])) != len(rows):
        counts = pc.value_counts(rows["uid"].combine_chunks())
        twice = [entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1]
        raise LedgerError(f"uid {twice[0]} occurs twice in one table; each row may be committed once")


def _check_images(rows: pa.Table) -> None:
    """Every image whole: its queries 0 to n - 1, and n is what it is said to have."""
    if not len(rows):
        return
    shard_id, number = (rows[name].combine_chunks() for name in ("shard_id", "row_in_shard"))
    differs = pc.or_(pc.not_equal(shard_id[1:], shard_id[:-1]), pc.not_equal(number[1:], number[:-1]))
    starts = np.flatnonzero([True, *differs.to_pylist()])
    counts = np.diff([*starts, len(rows)])
    there = np.repeat(counts, counts)
    numbered = np.arange(len(rows)) - np.repeat(starts, counts)
    stated = pc.fill_null(rows["image_queries"], -1).to_numpy()
    wrong = np.flatnonzero((rows["query"].to_numpy() != numbered) | ((stated >= 0) & (stated != there)))
    if len(wrong):
        where = rows.slice(int(wrong[0]), 1).to_pylist()[0]
        of = f" of {where['image_queries']}" if where["image_queries"] is not None else ""
        raise LedgerError(
            f"image {where['shard_id']}/{where['row_in_shard']} is not whole: there is not every query{of} in the "
            "table; all queries of an image are committed together"
        )
