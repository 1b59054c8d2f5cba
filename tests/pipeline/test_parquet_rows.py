"""Parquet files as tables: bytes, structs, paths; what is broken has a code; memory is bounded by the reads."""

from __future__ import annotations

import datetime
import decimal
import functools
import http.server
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.parquet_file import is_parquet
from pipeline.records import RAW_SCHEMA
from pipeline.shard_rows import iter_tables

SUFFIXES = ("jpg", "png")
LIMIT = 1 << 20
Row = dict[str, Any]


def read(url: Path | str, **options: Any) -> tuple[list[Row], Row]:
    settings = {"suffixes": SUFFIXES, "max_member_bytes": LIMIT} | options
    rows: list[Row] = []
    for table in iter_tables(str(url), "000003-p", **settings):
        assert table.schema == RAW_SCHEMA
        table.validate(full=True)
        rows += table.to_pylist()
    *rows, control = rows
    for row in rows:
        assert row["uid"] == f"000003-p/{row['row_in_shard']}/0"
        assert row["member_offset"] == row["row_in_shard"]
        assert (row["image"] is None) == (row["error_code"] is not None) == (row["status"] == "failed")
        found = json.loads(row["meta_json"])
        assert (found["offset"], found["image_suffix"]) == (row["member_offset"], row["image_suffix"])
    return rows, control


def write(path: Path, columns: dict[str, Any], *, row_group_size: int = 3, **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size, **options)
    return path


def test_bytes_with_the_other_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        {
            "jpg": [b"one", b"two", None, b"", b"five", bytes(LIMIT + 1)],
            "key": ["k1", "k2", "k3", None, "k5", "k6"],
            "caption": ["a", None, "c\ud7ff", "d", "e", "f"],
            "score": [1.5, float("nan"), None, float("-inf"), 0.0, 1.0],
            "when": [datetime.datetime(2026, 1, 2)] * 6,
            "price": [decimal.Decimal("1.50")] * 6,
            "tags": [["x", "y"], [], None, ["z"], [], []],
            "offset": list(range(6)),
            "mask": [b"m"] * 6,
        },
    )
    rows, control = read(path)
    assert [(row["key"], row["image"], row["error_code"]) for row in rows] == [
        ("k1", b"one", None), ("k2", b"two", None), ("k3", None, "missing_image"), ("000000003", None, "empty_image"),
        ("k5", b"five", None), ("k6", None, "member_too_large"),
    ]  # fmt: skip
    assert json.loads(rows[0]["meta_json"]) == {
        "image_suffix": None, "offset": 0, "key": "k1", "caption": "a", "score": 1.5, "when": "2026-01-02T00:00:00",
        "price": "1.50", "tags": ["x", "y"], ".offset": 0,
    }  # fmt: skip
    assert [json.loads(row["meta_json"])["score"] for row in rows[1:4]] == ["nan", None, "-inf"]
    assert (control["shard_total"], control["shard_state"]) == (6, "done")


def test_a_hugging_face_column_holds_bytes_or_a_path(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").write_bytes(b"from disk")
    images = [
        {"bytes": b"inside", "path": "x/first.JPG"},
        {"bytes": None, "path": "there.jpg"},
        {"bytes": None, "path": None},
        None,
    ]
    rows, control = read(write(tmp_path / "hf.parquet", {"image": images, "label": [1, 2, 3, 4]}))
    assert [(row["key"], row["image"], row["image_suffix"], row["error_code"]) for row in rows] == [
        ("x/first.JPG", b"inside", "jpg", None),
        ("there.jpg", b"from disk", "jpg", None),
        ("000000002", None, None, "missing_image"),
        ("000000003", None, None, "missing_image"),
    ]
    assert control["shard_state"] == "done"


def test_paths_lead_from_the_file_and_failures_are_rows(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").write_bytes(b"A")
    (tmp_path / "sub/zero.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    paths = [
        "sub/a.jpg", str(tmp_path / "sub/a.jpg"), f"file://{tmp_path}/sub/a.jpg", "sub/gone.jpg", "sub/zero.jpg",
        "pipe.jpg", "sub", "ftp://host/a.jpg", "filecache::s3://b/a.jpg", "", None, "a\0b.jpg", "sub/a.jpg/x",
    ]  # fmt: skip
    rows, control = read(write(tmp_path / "p.parquet", {"path": paths}))
    assert [row["error_code"] for row in rows] == [
        None, None, None, "missing_image", "empty_image", "unreadable_image", "unreadable_image", "unreadable_image",
        "unreadable_image", "missing_image", "missing_image", "unreadable_image", "missing_image",
    ]  # fmt: skip
    assert [row["image"] for row in rows[:3]] == [b"A"] * 3
    assert [row["key"] for row in rows[:2]] == paths[:2]
    assert (control["shard_total"], control["shard_state"]) == (13, "done")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """URL of a real server of the files in `tmp_path`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_urls_are_fetched_in_order(tmp_path: Path, web: str) -> None:
    urls = []
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(b"web %d" % number)
        urls.append(f"{web}/{number}.jpg?size=large")
    (tmp_path / "large.jpg").write_bytes(bytes(LIMIT + 1))
    urls[4], urls[5] = f"{web}/gone.jpg", f"{web}/large.jpg"
    rows, control = read(write(tmp_path / "urls.parquet", {"url": urls}), skip=((10, 20),))
    assert [row["key"] for row in rows] == urls[:10] + urls[20:]
    assert [row["image"] for row in rows if row["image"]] == [
        b"web %d" % number for number in range(30) if number not in (4, 5) and not 10 <= number < 20
    ]
    assert {row["row_in_shard"]: row["error_code"] for row in rows if row["error_code"]} == {
        4: "missing_image", 5: "member_too_large",
    }  # fmt: skip
    assert {row["image_suffix"] for row in rows} == {"jpg"}
    assert control["shard_total"] == 30


def test_an_object_store_and_paths_in_it(tmp_path: Path, bucket: str) -> None:
    fs = fsspec.filesystem("s3")
    fs.pipe_file(f"{bucket}/in/img/a.jpg", b"object")
    local = write(
        tmp_path / "x.parquet",
        {"image": ["img/a.jpg", f"{bucket}/in/img/a.jpg", "img/gone.jpg", "/etc/hosts", "file:///etc/hosts"]},
    )
    fs.put_file(str(local), f"{bucket}/in/x.parquet")
    rows, control = read(f"{bucket}/in/x.parquet", expected_size=local.stat().st_size)
    assert [(row["image"], row["error_code"]) for row in rows] == [
        (b"object", None), (b"object", None), (None, "missing_image"),
        (None, "unreadable_image"), (None, "unreadable_image"),
    ]  # fmt: skip
    assert control["shard_state"] == "done"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3))
def test_skipping_changes_nothing_but_what_is_emitted(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, skip: list[tuple[int, int]]
) -> None:
    path = write(
        tmp_path_factory.mktemp("p") / "a.parquet", {"image": pa.array([b"%d" % n for n in range(rows)], pa.binary())},
        row_group_size=group,
    )  # fmt: skip
    found, control = read(path, skip=skip, rows_per_table=7)
    wanted = [n for n in range(rows) if not any(start <= n < stop for start, stop in skip)]
    assert [(row["row_in_shard"], row["image"]) for row in found] == [(n, b"%d" % n) for n in wanted]
    assert (control["shard_total"], control["shard_state"]) == (rows, "done")


# --- damage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 3, 4, 100, -1, -4, -8, -9, -200])
def test_a_file_without_its_footer_is_bad(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "a.parquet", {"image": [b"x" * 100] * 5})
    path.write_bytes(path.read_bytes()[:cut])
    rows, control = read(path)
    assert (rows, control["shard_total"], control["shard_code"]) == ([], 0, "bad_parquet")


def test_a_tar_under_the_name_of_a_parquet_file_is_bad(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(bytes(1024))
    assert read(tmp_path / "a.parquet")[1]["shard_code"] == "bad_parquet"
    (tmp_path / "b.PARQUET").write_bytes(b"")
    assert read(tmp_path / "b.PARQUET")[1]["shard_code"] == "bad_parquet"
    assert read(tmp_path / "gone.parquet")[1]["shard_code"] == "unreadable"
    assert is_parquet("s3://b/a.parquet")
    assert is_parquet("https://h/a.parquet?x=.tar")
    assert not is_parquet("/a.parquet/b.tar")


def test_broken_pages_keep_the_row_groups_before_them(tmp_path: Path) -> None:
    images = [os.urandom(2000) for _ in range(12)]
    path = write(tmp_path / "a.parquet", {"image": images}, compression="snappy", use_dictionary=False)
    data = bytearray(path.read_bytes())
    third = pq.ParquetFile(path).metadata.row_group(2).column(0)
    data[third.data_page_offset : third.data_page_offset + 60] = b"\xff" * 60
    path.write_bytes(data)
    rows, control = read(path)
    assert [row["image"] for row in rows] == images[:6]
    assert (control["shard_total"], control["shard_code"]) == (6, "bad_parquet")
    assert "row group 2" in control["shard_message"]


@pytest.mark.parametrize("nested", ["struct", "list", "dictionary", "map"])
def test_text_that_is_not_utf_8_is_escaped_wherever_it_stands(tmp_path: Path, nested: str) -> None:
    text = pa.array([b"a\x80", b"b"], pa.binary()).view(pa.utf8())
    columns = {
        "struct": pa.StructArray.from_arrays([text], ["name"]),
        "list": pa.ListArray.from_arrays([0, 1, 2], text),
        "dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), text),
        "map": pa.MapArray.from_arrays([0, 1, 2], pa.array(["k", "k"]), text),
    }
    pq.write_table(pa.table({"image": [b"1", b"2"], "other": columns[nested]}), tmp_path / "a.parquet")
    rows, control = read(tmp_path / "a.parquet")
    assert (len(rows), control["shard_state"]) == (2, "done")
    assert "a\\\\x80" in rows[0]["meta_json"]


@settings(max_examples=80, deadline=None)
@example(at=220, noise=b"\x80")
@given(at=st.integers(0, 1 << 20), noise=st.binary(min_size=1, max_size=40))
def test_no_damage_raises(tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes) -> None:
    path = write(
        tmp_path_factory.mktemp("p") / "a.parquet",
        {
            "image": [{"bytes": b"%d" % n * 50, "path": f"{n}.jpg"} for n in range(8)],
            "caption": ["ü" * n for n in range(8)],
        },
    )
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(noise)] = noise
    path.write_bytes(data)
    rows, control = read(path)
    assert len(rows) == control["shard_total"]
    assert control["shard_state"] in ("done", "bad")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"caption": ["a"]}, {}, "no column looks like an image"),
        ({"image": [b"a"], "jpg": [b"b"]}, {}, "image and jpg may all be the image"),
        ({"image": [1]}, {"column": "image"}, "column 'image' is of type int64"),
        ({"image": [[b"nested", b"images"]]}, {"column": "image"}, "column 'image' is of type list"),
    ],
)
def test_a_file_without_a_clear_image_is_bad(
    tmp_path: Path, columns: dict[str, Any], options: Any, message: str
) -> None:
    rows, control = read(write(tmp_path / "a.parquet", columns), **options)
    assert (rows, control["shard_total"], control["shard_code"]) == ([], 0, "bad_column")
    assert message in control["shard_message"]


def test_no_rows_and_text_that_is_not_utf8(tmp_path: Path) -> None:
    empty = write(tmp_path / "e.parquet", {"image": pa.array([], pa.binary())})
    rows, control = read(empty)
    assert (rows, control["shard_total"], control["shard_state"]) == ([], 0, "done")
    raw = pa.array([b"caf\xe9.jpg", b"ok.jpg"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    (tmp_path / "ok.jpg").write_bytes(b"x")
    rows, control = read(write(tmp_path / "t.parquet", {"path": text, "note": text}))
    assert [(row["key"], row["error_code"]) for row in rows] == [("caf\\xe9.jpg", "missing_image"), ("ok.jpg", None)]
    assert json.loads(rows[0]["meta_json"])["note"] == "caf\\xe9.jpg"


def test_large_values_leave_their_size(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path / "a.parquet", {"image": [b"x"], "essay": ["w" * 100_000], "caption": ["short"]}))
    meta = json.loads(rows[0]["meta_json"])
    assert (meta["essay"], meta["caption"]) == ({"omitted_bytes": 100_002}, "short")


def test_memory_is_bounded_by_the_reads_not_by_the_row_group(tmp_path: Path) -> None:
    path, n_rows, image_bytes = tmp_path / "large.parquet", 1200, 100_000  # 120 MB in one row group
    schema = pa.schema([("image", pa.binary())])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False, write_batch_size=16) as writer:
        images = [os.urandom(image_bytes) for _ in range(8)]
        writer.write_table(pa.table({"image": images * (n_rows // 8)}, schema), row_group_size=n_rows)
    before, arrow_peak, total = pa.total_allocated_bytes(), 0, 0
    pa.default_memory_pool().release_unused()
    tracemalloc.start()
    try:
        for table in iter_tables(str(path), "a", suffixes=SUFFIXES, max_member_bytes=LIMIT):
            arrow_peak = max(arrow_peak, pa.total_allocated_bytes() - before)
            total += sum(uid is not None for uid in table["uid"].to_pylist())
        python_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == n_rows
    assert python_peak < 40 << 20
    assert arrow_peak < 60 << 20
