"""Shards as tables: rows as webdataset groups them, and an honest last row however the shard ends."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webdataset import TarWriter
from webdataset.tariterators import group_by_keys, tar_file_expander

from pipeline.records import RAW_SCHEMA
from pipeline.rows_wanted import BEYOND
from pipeline.shard_rows import iter_tables
from pipeline.tar_rows import count_tar_rows as count_rows

SUFFIXES = ("jpg", "jpeg", "png", "webp")
LIMIT = 1 << 20
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
Row = dict[str, Any]
Members = list[tuple[str, bytes]]


def tar_of(members: Members, tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tables_of(data: bytes | str, **options: Any) -> list[pa.Table]:
    """Read a tar from memory, or a shard by its URL, and check what holds for every shard."""
    url = data if isinstance(data, str) else "mem.tar"
    if isinstance(data, bytes):
        options["open_stream"] = lambda _: io.BytesIO(data)
    defaults: dict[str, Any] = {"suffixes": SUFFIXES, "max_member_bytes": LIMIT}
    tables = list(iter_tables(url, "000003-mem", **(defaults | options)))
    for table in tables:
        assert table.schema == RAW_SCHEMA
        table.validate(full=True)
    return tables


def read(data: bytes | str, **options: Any) -> tuple[list[Row], Row]:
    rows: list[Row] = [row for table in tables_of(data, **options) for row in table.to_pylist()]
    *rows, control = rows
    for row in rows:
        assert row["uid"] == f"000003-mem/{row['row_in_shard']}/0"
        assert (row["shard_total"], row["shard_state"]) == (None, None)
        assert (row["image"] is None) == (row["error_code"] is not None) == (row["status"] == "failed")
        found = json.loads(row["meta_json"])
        assert (found["offset"], found["image_suffix"]) == (row["member_offset"], row["image_suffix"])
    assert (control["uid"], control["shard_id"]) == (None, "000003-mem")
    assert (control["shard_code"] is None) == (control["shard_message"] is None) == (control["shard_state"] == "done")
    return rows, control


def webdataset_samples(data: bytes) -> list[dict[str, Any]]:
    return list(group_by_keys(tar_file_expander([{"url": "mem.tar", "stream": io.BytesIO(data)}])))


SAMPLES = [
    {"__key__": "0001", "jpg": b"one", "txt": b"first", "json": b'{"a": 1}', "cls": b"\x00\x01"},
    {"__key__": "dir/0002", "JPG": b"two", "Txt": b"second"},
    {"__key__": "0003", "seg.png": b"no image", "png": b"three", "left.json": b"[1]"},
    {"__key__": "0004", "webp": b"four"},
    {"__key__": "0005", "txt": b"no image at all"},
    {"__key__": "0006", "jpeg": b"", "txt": b"empty image"},
]


def written_by_webdataset() -> bytes:
    out = io.BytesIO()
    with TarWriter(out, encoder=False, keep_meta=False) as writer:
        for sample in SAMPLES:
            writer.write(dict(sample))
    return out.getvalue()


def test_rows_are_those_of_webdataset() -> None:
    data = written_by_webdataset()
    rows, control = read(data)
    assert (control["shard_total"], control["shard_state"]) == (6, "done")
    for row, sample in zip(rows, webdataset_samples(data), strict=True):
        assert row["key"] == sample["__key__"]
        image = next((sample[suffix] for suffix in SUFFIXES if suffix in sample), None)
        assert row["image"] == (image or None)
        names = {name for name in sample if name[0] != "_" and name != row["image_suffix"]}
        assert json.loads(row["meta_json"]).keys() == names | {"offset", "image_suffix"}
    passed = {"cls": {"bytes": 2}, "json": {"a": 1}, "txt": "first"}
    ours = {"image_suffix": "jpg", "offset": rows[0]["member_offset"]}
    assert json.loads(rows[0]["meta_json"]) == ours | passed
    assert [row["error_code"] for row in rows] == [None, None, None, None, "missing_image", "empty_image"]
    assert "'0005'" in rows[4]["error_message"]
    assert "txt" in rows[4]["error_message"]
    assert rows[5]["key"] == "0006"


KEYS = st.sampled_from(["a", "b", "dir/a", "d.ir/c", "k" * 120, "größe" * 25])
FILES = st.lists(st.tuples(KEYS, st.sampled_from(["jpg", "JPG", "txt", "json", "png", "x.y.txt", ""])), max_size=14)


@settings(max_examples=100, deadline=None)
@given(FILES, st.sampled_from(FORMATS[1:]))
def test_grouping_agrees_with_webdataset_on_any_valid_tar(files: list[tuple[str, str]], tar_format: int) -> None:
    members: Members = []
    seen: set[str] = set()
    last_key = None
    for key, suffix in files:  # leave out what webdataset refuses: a suffix twice in a row
        seen = seen if key == last_key else set()
        if suffix.lower() not in seen:
            members.append((f"{key}.{suffix}", f"{key}{suffix}".encode()))
            seen.add(suffix.lower())
            last_key = key
    data = tar_of(members, tar_format)
    rows, control = read(data)
    samples = webdataset_samples(data)
    assert control["shard_state"] == "done"
    assert control["shard_total"] == len(samples)
    assert [(row["key"], row["image"]) for row in rows] == [
        (sample["__key__"], sample.get("jpg", sample.get("png"))) for sample in samples
    ]


@pytest.mark.parametrize("tar_format", FORMATS)
def test_long_names_in_every_format(tar_format: int) -> None:
    key = "/".join(["part" * 5] * (6 if tar_format == tarfile.USTAR_FORMAT else 40)) + "/image"
    rows, _ = read(tar_of([(f"{key}.jpg", b"1"), (f"{key}.txt", b"t")], tar_format))
    assert [(row["key"], row["image"]) for row in rows] == [(key, b"1")]


def test_a_repeated_suffix_and_interleaved_keys_lose_nothing() -> None:
    rows, control = read(tar_of([("a.jpg", b"1"), ("a.txt", b"t"), ("a.jpg", b"2"), ("b.jpg", b"3"), ("a.txt", b"u")]))
    assert [(row["key"], row["image"], row["error_code"]) for row in rows] == [
        ("a", b"1", None), ("a", b"2", None), ("b", b"3", None), ("a", None, "missing_image"),
    ]  # fmt: skip
    assert control["shard_total"] == 4


def test_the_image_is_chosen_by_the_order_of_suffixes_not_of_members() -> None:
    data = tar_of([("a.webp", b"w"), ("a.jpg", b"j"), ("a.png", b"p")])
    row = read(data)[0][0]
    assert (row["image"], row["image_suffix"], row["member_offset"]) == (b"j", "jpg", 1024)
    assert json.loads(row["meta_json"])["webp"] == {"bytes": 1}
    assert read(data, suffixes=("png", "jpg"))[0][0]["image"] == b"p"


def test_a_large_image_is_a_failed_row_and_a_large_sidecar_is_not() -> None:
    rows, control = read(
        tar_of([("a.jpg", b"x" * 101), ("b.jpg", b"y" * 100), ("b.npy", b"z" * 101), ("c.jpg", b"w")]),
        max_member_bytes=100,
    )
    assert [row["error_code"] for row in rows] == ["member_too_large", None, None]
    assert "101" in rows[0]["error_message"]
    assert json.loads(rows[1]["meta_json"])["npy"] == {"omitted_bytes": 101}
    assert control["shard_state"] == "done"


def test_names_that_are_not_utf8_pass_through_arrow() -> None:
    rows, _ = read(tar_of([("caf\udce9.jpg", b"1"), ("caf\udce9.txt", b"t")]))
    assert [row["key"] for row in rows] == ["caf\\xe9"]


# --- damage -----------------------------------------------------------------------------------------------------


def expected_after_cut(data: bytes, cut: int) -> list[tuple[str, bytes | None]]:
    """Return (key, image) of every row of `data[:cut]`, from the standard library's reading of the whole tar."""
    rows: list[tuple[str, bytes | None]] = []
    suffixes: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            if info.offset_data > cut:
                break
            key, _, suffix = info.name.partition(".")
            if not rows or rows[-1][0] != key or suffix in suffixes:
                rows.append((key, None))
                suffixes = set()
            suffixes.add(suffix)
            if suffix == "jpg" and info.offset_data + info.size <= cut:
                rows[-1] = (key, data[info.offset_data : info.offset_data + info.size])
    return rows


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_shard_cut_at_any_byte_keeps_the_rows_whose_image_is_whole(draw: st.DataObject) -> None:
    names = draw.draw(st.lists(st.tuples(st.sampled_from(["a", "b", "l" * 130]), st.sampled_from(["jpg", "txt"]))))
    members = [(f"{key}.{suffix}", f"{i}-{key}".encode() * 40) for i, (key, suffix) in enumerate(names)]
    data = tar_of(members, draw.draw(st.sampled_from(FORMATS[1:])))
    end = len(data.rstrip(b"\0"))
    end += -end % 512 + 1024
    cut = draw.draw(st.integers(0, min(len(data), end + 600)))
    rows, control = read(data[:cut])
    expected = expected_after_cut(data, cut)
    assert [(row["key"], row["image"]) for row in rows] == expected
    assert control["shard_total"] == len(expected)
    assert control["shard_code"] == (None if cut >= end else "truncated" if cut else "empty_file")
    assert all(row["error_code"] in (None, "missing_image") for row in rows[:-1])
    if rows and names and cut < end:
        assert rows[-1]["error_code"] in (None, "missing_image", "truncated_member")


ROWS: Members = [(f"{i:03}.{suffix}", f"{i}".encode() * 200) for i in range(4) for suffix in ("jpg", "txt")]
SHARD = tar_of(ROWS)
ROW_BYTES = 2048
JPG_BYTES = 1024
HEADER_BYTES = 512


def test_the_row_at_the_cut() -> None:
    in_image, in_text, before_text = HEADER_BYTES + 100, JPG_BYTES + HEADER_BYTES + 100, JPG_BYTES
    rows, control = read(SHARD[: ROW_BYTES + in_image])
    assert [row["error_code"] for row in rows] == [None, "truncated_member"]
    assert rows[1]["key"] == "001"
    assert (control["shard_total"], control["shard_code"]) == (2, "truncated")
    for cut in (in_text, before_text):
        rows, control = read(SHARD[: ROW_BYTES + cut])
        assert [row["error_code"] for row in rows] == [None, None]
        assert (control["shard_total"], control["shard_state"]) == (2, "bad")
    rows, control = read(SHARD[: ROW_BYTES + HEADER_BYTES - 1])
    assert (len(rows), control["shard_total"]) == (1, 1)


def test_a_row_whose_image_was_still_to_come_says_that_the_shard_broke() -> None:
    rows, _ = read(tar_of([("a.json", b"{}"), ("a.jpg", b"1")])[: JPG_BYTES + 100])
    assert rows[0]["error_code"] == "missing_image"
    assert "breaks off" in rows[0]["error_message"]


@pytest.mark.parametrize(
    ("data", "n_rows", "code"),
    [
        (b"", 0, "empty_file"),
        (bytes(1024), 0, None),
        (SHARD[: 2 * ROW_BYTES] + b"\x07" * 512 + SHARD[2 * ROW_BYTES + 512 :], 2, "corrupt_header"),
        (SHARD + b"more", 4, "trailing_data"),
        (SHARD[: 4 * ROW_BYTES], 4, "truncated"),
        (b"not a tar at all" * 100, 0, "corrupt_header"),
    ],
    ids=range(6),
)
def test_bad_shards_keep_their_good_rows(data: bytes, n_rows: int, code: str | None) -> None:
    rows, control = read(data)
    assert len(rows) == control["shard_total"] == n_rows
    assert control["shard_code"] == code
    assert control["shard_state"] == ("done" if code is None else "bad")


def test_storage_that_fails_does_not_commit_the_row_in_hand() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            part = super().read(size)
            if not part:
                raise ConnectionResetError("peer went away")
            return part

    for cut in (ROW_BYTES + HEADER_BYTES + 100, ROW_BYTES + JPG_BYTES):
        rows, control = read("any.tar", open_stream=lambda _, cut=cut: Failing(SHARD[:cut]))
        assert [row["key"] for row in rows] == ["000"]
        assert (control["shard_total"], control["shard_code"]) == (1, "unreadable")
        assert "peer went away" in control["shard_message"]
        assert "'001'" in control["shard_message"]


# --- tables and skipping ----------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 3000), max_size=25),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4),
    st.integers(1, 7),
    st.integers(1, 8000),
    st.integers(0, 40000),
)
def test_skipping_changes_nothing_but_what_is_emitted(
    sizes: list[int], skip: list[tuple[int, int]], rows_per_table: int, bytes_per_table: int, cut: int
) -> None:
    data = tar_of([(f"{i}.jpg", b"x" * size) for i, size in enumerate(sizes)])[:cut]
    every_row, every_control = read(data)
    options = {"skip": skip, "rows_per_table": rows_per_table, "bytes_per_table": bytes_per_table}
    tables = tables_of(data, **options)
    rows, control = read(data, **options)

    def content(row: Row) -> Row:
        return {name: value for name, value in row.items() if name != "read_ms"}

    kept = [row for row in every_row if not any(start <= row["row_in_shard"] < stop for start, stop in skip)]
    assert [content(row) for row in rows] == [content(row) for row in kept]
    assert control == every_control
    for table in tables:
        emitted = [row for row in table.to_pylist() if row["uid"] is not None]
        assert len(emitted) == len(table) - (table is tables[-1])
        assert len(emitted) <= rows_per_table
        n_bytes = sum(len(row["image"] or b"") + len(row["meta_json"]) + len(row["key"]) for row in emitted)
        assert len(emitted) == 1 or n_bytes <= bytes_per_table
    assert [len(table) for table in tables_of(data, **options)] == [len(table) for table in tables]


# --- files ------------------------------------------------------------------------------------------------------


class _Counted(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_a_shard_is_read_no_further_than_to_the_last_row_that_is_wanted() -> None:
    data = tar_of([(f"{number}.jpg", bytes([number]) * 3000) for number in range(100)])
    stream = _Counted(data)
    skip = [(0, 5), (6, 20), (21, BEYOND)]
    tables = list(
        iter_tables(
            "mem.tar", "000003-mem", suffixes=SUFFIXES, max_member_bytes=LIMIT, skip=skip, open_stream=lambda _: stream
        )
    )
    rows = [row for table in tables for row in table.to_pylist()]
    assert [(row["row_in_shard"], row["image"], row["shard_total"]) for row in rows] == [
        (number, bytes([number]) * 3000, None) for number in (5, 20)
    ], "its end was not reached, so nothing is said of it"
    assert 0 < stream.taken < len(data) // 3


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "TAR.GZ"])
def test_gzip_shards_good_and_broken(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"shard.{ending}"
    packed = gzip.compress(SHARD)
    path.write_bytes(packed)
    rows, control = read(str(path))
    assert [row["image"] for row in rows] == [data for name, data in ROWS if name.endswith("jpg")]
    assert control["shard_state"] == "done"
    assert count_rows(str(path)) is None
    good = [row["image"] for row in rows]
    for broken in (
        packed[: len(packed) // 2],
        packed[:-4],
        packed[:-8] + b"\0" * 8,
        packed[:40] + b"\xff" * 20 + packed[60:],
        packed + b"garbage",
        SHARD,
    ):
        path.write_bytes(broken)
        rows, control = read(str(path))
        assert control["shard_code"] == "bad_compression"
        assert [row["image"] for row in rows if row["image"]] == good[: sum(row["image"] is not None for row in rows)]
    path.write_bytes(gzip.compress(SHARD[:ROW_BYTES]))
    assert read(str(path))[1]["shard_code"] == "truncated"
    path.write_bytes(b"")
    assert read(str(path))[1]["shard_code"] == "empty_file"


def test_shards_that_cannot_be_opened_or_have_changed(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    for url, sizes in ((str(path), (None, 7)), ("nosuchprotocol://a/b.tar", (None, 7)), (str(tmp_path), (None,))):
        for size in sizes:
            rows, control = read(url, expected_size=size)
            assert (rows, control["shard_total"], control["shard_code"]) == ([], 0, "unreadable")
        assert count_rows(url) is None
    path.write_bytes(SHARD)
    assert len(read(str(path), expected_size=len(SHARD))[0]) == 4
    rows, control = read(str(path), expected_size=len(SHARD) + 1)
    assert (rows, control["shard_total"], control["shard_code"]) == ([], 0, "changed")
    assert str(len(SHARD)) in control["shard_message"]


def test_a_link_in_place_of_an_image_is_a_failed_row() -> None:
    """Tars of hard-linked folders have them; a reader that skips links would lose those rows without a word."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("a.jpg", tarfile.REGTYPE), ("b.jpg", tarfile.LNKTYPE), ("b.txt", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            tar.addfile(info, io.BytesIO(b""))
    rows, control = read(out.getvalue())
    assert [(row["key"], row["error_code"]) for row in rows] == [("a", "empty_image"), ("b", "missing_image")]
    assert "'b.jpg' is a link" in rows[1]["error_message"]
    assert (control["shard_total"], control["shard_state"]) == (2, "done")


@pytest.mark.parametrize("name", ["a::b.tar", "simplecache::b.tar", "what?.tar", "d::e/b.tar"])
def test_a_local_path_is_taken_as_it_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(SHARD)
    assert len(read(str(path), expected_size=len(SHARD))[0]) == 4
    assert count_rows(str(path)) == 4
    compressed = tmp_path / f"{name}.gz"
    compressed.write_bytes(gzip.compress(SHARD))
    assert len(read(str(compressed))[0]) == 4


def test_any_fsspec_url_is_read() -> None:
    with fsspec.open("memory://shards/a.tar", "wb") as out:
        out.write(SHARD)
    assert len(read("memory://shards/a.tar", expected_size=len(SHARD))[0]) == 4
    assert count_rows("memory://shards/a.tar") is None


def test_rows_are_counted_without_reading_data(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    for data, n_rows in (
        (written_by_webdataset(), 6), (SHARD, 4), (bytes(1024), 0), (b"", None), (SHARD + b"x", None),
    ):  # fmt: skip
        path.write_bytes(data)
        assert count_rows(str(path)) == n_rows
        if n_rows is not None:
            assert read(str(path))[1]["shard_total"] == n_rows
    for cut in (100, ROW_BYTES - 1, ROW_BYTES, 4 * ROW_BYTES):
        path.write_bytes(SHARD[:cut])
        assert count_rows(str(path)) is None


def test_real_photographs(photo_shards: list[str]) -> None:
    n_rows = 0
    for shard in photo_shards:
        data = Path(shard).read_bytes()
        rows, control = read(shard, max_member_bytes=256 << 20, expected_size=len(data))
        assert control["shard_state"] == "done"
        assert control["shard_total"] == count_rows(shard) == len(rows)
        for row, sample in zip(rows, webdataset_samples(data), strict=True):
            assert (row["key"], row["image"]) == (sample["__key__"], sample["jpg"])
            assert json.loads(row["meta_json"])["txt"] == sample["txt"].decode()
            assert json.loads(row["meta_json"])["json"] == json.loads(sample["json"])
        n_rows += len(rows)
    assert n_rows == 60


class _Generated(io.RawIOBase):
    """A tar of `n_rows` images that exists only as it is read."""

    def __init__(self, n_rows: int, image_bytes: int) -> None:
        self._pieces = self._write(n_rows, image_bytes)
        self._ready = memoryview(b"")

    @staticmethod
    def _write(n_rows: int, image_bytes: int) -> Iterator[bytes]:
        image = b"\1" * image_bytes + bytes(-image_bytes % 512)
        for i in range(n_rows):
            info = tarfile.TarInfo(f"{i:08}.jpg")
            info.size = image_bytes
            yield info.tobuf(tarfile.USTAR_FORMAT)
            yield image
        yield bytes(1024)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._ready = self._ready or memoryview(next(self._pieces, b""))
        n_bytes = min(len(buffer), len(self._ready))
        buffer[:n_bytes] = self._ready[:n_bytes]
        self._ready = self._ready[n_bytes:]
        return n_bytes


def test_memory_is_bounded_by_the_table_not_by_the_shard() -> None:
    image_bytes, n_rows = 500_000, 400  # 200 MB
    arrow_before = pa.total_allocated_bytes()
    arrow_peak = total = 0
    tracemalloc.start()
    try:
        for table in iter_tables(
            "g.tar",
            "000000-g",
            suffixes=("jpg",),
            max_member_bytes=LIMIT,
            open_stream=lambda _: io.BufferedReader(_Generated(n_rows, image_bytes), 1 << 16),
        ):
            arrow_peak = max(arrow_peak, pa.total_allocated_bytes() - arrow_before)
            total += sum(uid is not None for uid in table["uid"].to_pylist())
        python_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == n_rows
    assert python_peak < 40 << 20
    assert arrow_peak < 60 << 20
