"""Decode as Ray runs it; the guarded model actor is tested in real jobs, `tests/integration/test_poison.py`."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa

from mue_model.model_names import model_facts
from pipeline.control import request_stop
from pipeline.guard import Guard
from pipeline.guarded import GuardedDecode
from pipeline.preprocess import DecodeRows
from pipeline.records import RAW_SCHEMA
from pipeline.storage import Storage

DECODE = DecodeRows.from_processor(model_facts("seeded").processor)


def raw(rows: int) -> pa.Table:
    row = {"shard_id": "000000-a", "query": 0, "image": b"no image", "status": "ok"}
    return pa.Table.from_pylist(
        [row | {"uid": f"000000-a/{n}/0", "key": str(n), "row_in_shard": n} for n in range(rows)], schema=RAW_SCHEMA
    )


def guarded(folder: Path, **settings: bool) -> GuardedDecode:
    decode = GuardedDecode(DECODE, Guard(output=str(folder), attempt="a1", stuck_s=60, **settings))
    return pickle.loads(pickle.dumps(decode))  # as it reaches a worker


def test_the_answers_are_those_of_decode(tmp_path: Path) -> None:
    answers, alone = guarded(tmp_path)(raw(5)), DECODE(raw(5))
    assert answers.drop_columns("decode_ms").equals(alone.drop_columns("decode_ms"))
    assert answers["error_code"].to_pylist() == ["unknown_format"] * 5


def test_once_the_job_is_to_stop_no_row_goes_on(tmp_path: Path) -> None:
    request_stop(Storage.open(str(tmp_path)), "a1")
    table = guarded(tmp_path)(raw(5))
    assert table.num_rows == 0
    assert table.schema.equals(DECODE(raw(5)).schema)
