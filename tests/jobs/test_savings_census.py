"""The census of a billion rows: exact where int64 wraps, in the memory of one part, the same in SQL."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from string import Template

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jobs
from jobs.recompute_sql import recomputed
from jobs.savings_census import COLUMNS, TaskCensus, census
from pipeline.records import ROW_SCHEMA
from pipeline.storage import Storage

FULL, EXECUTED = 182_000_000_007, 121_333_333_331
ROWS = 1_000_000
"""Of one part."""
NUMBERS = {
    "attempts": 1,
    "image_layers_run": 4,
    "text_layers_run": 6,
    "flops_full_same_length": FULL,
    "flops_executed": EXECUTED,
    "flops_checks": 1_000_003,
    "row_in_shard": 0,
    "query": 0,
}


def part(status: str) -> pa.Table:
    """A million rows of OFA-base's size."""
    columns: dict[str, pa.Array] = {}
    for field in ROW_SCHEMA:
        if field.name in NUMBERS:
            columns[field.name] = pa.array(np.full(ROWS, NUMBERS[field.name])).cast(field.type)
        elif field.name == "decoder_layers_run":
            depths = pa.array(np.tile(np.array([3, 6], np.int16), ROWS))
            columns[field.name] = pa.ListArray.from_arrays(np.arange(0, 2 * ROWS + 1, 2, dtype=np.int32), depths)
        elif field.name in ("status", "task"):
            value = status if field.name == "status" else "caption"
            columns[field.name] = pa.array([value]).take(pa.array(np.zeros(ROWS, np.int64)))
        else:
            columns[field.name] = pa.nulls(ROWS, field.type)
    return pa.table({name: column.cast(ROW_SCHEMA.field(name).type) for name, column in columns.items()})


def check(folder: Path, good: int, bad: int) -> None:
    """Hold census and SQL over so many parts, which are two files again and again, against products made by hand."""
    (folder / "data").mkdir()
    parts = {name: part(status) for name, status in (("good", "ok"), ("bad", "failed"))}
    for name, table in parts.items():
        pq.write_table(table, folder / "data" / f"{name}.parquet", compression="zstd")
    names = ["good"] * good + ["bad"] * bad
    (folder / "manifest.json").write_text(json.dumps({"parts": [{"path": f"data/{name}.parquet"} for name in names]}))
    layers = {"encoder_layers": 6, "decoder_layers": 6}
    (folder / "plan.json").write_text(json.dumps({"fingerprint_parts": {"model": {"config": layers}}}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ok, failed = good * ROWS, bad * ROWS

    began = time.perf_counter()
    found = TaskCensus.total(census(parts[name].select(COLUMNS) for name in names))
    counted_s = time.perf_counter() - began

    assert (found.rows_ok, found.rows_failed) == (ok, failed)
    assert (found.flops_full_same_length, found.flops_executed) == (ok * FULL, ok * EXECUTED)
    assert found.flops_of_other_rows == failed * EXECUTED
    assert [(step.tokens, step.layers_run) for step in found.steps] == [(ok, 3 * ok), (ok, 6 * ok)]

    script = Template((Path(jobs.__path__[0]) / "recompute.sql").read_text("utf-8")).substitute(discarded=0, bound="")
    began = time.perf_counter()
    [lines] = recomputed(Storage.open(str(folder)), script, queries=1)
    said = {line["name"]: line["value"] for line in lines}
    assert said["rows"] == str(ok + failed)
    assert said["flops_saved_by_early_exit"] == str(ok * (FULL - EXECUTED))
    assert said["share_saved_by_early_exit"] == f"0.{(FULL - EXECUTED) * 10**12 // FULL:012d}"
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 1500, "memory is that of a few parts, however many there are"
    took = f"census {counted_s:.0f} s, SQL {time.perf_counter() - began:.0f} s, {grown_mib:.0f} MiB more than before"
    print(f"{ok + failed:,} rows, executed {found.flops_executed:,} FLOPs: {took}")


def test_four_million_rows(tmp_path: Path) -> None:
    check(tmp_path, good=3, bad=1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_billion_rows(tmp_path: Path) -> None:
    assert 990 * ROWS * FULL > 2**63, "a sum in int64 would have wrapped"
    check(tmp_path, good=990, bad=10)
