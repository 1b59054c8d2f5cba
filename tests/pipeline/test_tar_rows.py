"""Tars damaged in every place, beside what the webdataset library makes of the whole one."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from pipeline.shard_rows import iter_tables

BLOCK = 512
Row = dict[str, Any]
MEMBERS = [
    ("a.jpg", b"A" * 700), ("a.txt", b"first"), ("b.txt", b""), ("b.jpg", b""), ("c/d.jpg", b"C" * 512),
    ("c/d.json", b"{}"), ("a.jpg", b"again"), ("e.jpg", b"E" * 1500), ("a.txt", b"interleaved"), ("f.jpg", b"F"),
    ("__meta__/x.jpg", b"no row"), ("g", b"no dot"),
]  # fmt: skip


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


TAR = tar_of(MEMBERS)
CONTENT_BYTES = len(TAR.rstrip(b"\0"))
END = CONTENT_BYTES + -CONTENT_BYTES % BLOCK + 2 * BLOCK


def read(data: bytes) -> tuple[list[Row], Row]:
    tables = iter_tables(
        "m.tar", "a", suffixes=("jpg",), max_member_bytes=1 << 20, open_stream=lambda _: io.BytesIO(data)
    )
    *rows, control = [row for table in tables for row in table.to_pylist()]
    assert control["shard_total"] == len(rows)
    return rows, control


def oracle(data: bytes) -> list[tuple[str, bytes | None]]:
    samples = group_by_keys(tar_file_expander([{"url": "m.tar", "stream": io.BytesIO(data)}]))
    return [(sample["__key__"], sample.get("jpg") or None) for sample in samples]


def content(rows: list[Row]) -> list[tuple[str, bytes | None]]:
    return [(row["key"], row["image"]) for row in rows]


WHOLE = oracle(TAR)


def test_the_whole_tar_is_what_webdataset_reads() -> None:
    rows, control = read(TAR)
    assert content(rows) == WHOLE
    assert len(WHOLE) == 7
    assert control["shard_state"] == "done"
    assert [row["error_code"] for row in rows] == [None, "empty_image", None, None, None, "missing_image", None]
    assert json.loads(rows[0]["meta_json"])["txt"] == "first"


@pytest.mark.parametrize("cut", range(0, END, BLOCK))
def test_cut_at_every_block_it_keeps_what_is_whole_and_says_so(cut: int) -> None:
    rows, control = read(TAR[:cut])
    kept = content(rows)
    assert kept[:-1] == WHOLE[: len(kept) - 1] if kept else True
    assert control["shard_code"] == ("truncated" if cut else "empty_file")
    try:
        library = oracle(TAR[:cut])
    except (tarfile.ReadError, StopIteration):
        return  # the library gives up where we keep what is whole
    assert len(kept) >= len(library)
    assert kept[: len(library) - 1] == library[:-1] if library else True


@pytest.mark.parametrize("block", range(0, END - 2 * BLOCK, BLOCK))
def test_noise_over_any_block_loses_no_row_in_silence(block: int) -> None:
    noise = bytes((block // BLOCK * 7 + index * 13) % 255 + 1 for index in range(BLOCK))
    rows, control = read(TAR[:block] + noise + TAR[block + BLOCK :])
    if control["shard_state"] == "done":
        assert len(rows) == len(WHOLE), "only a member's content was hit"
    else:
        assert control["shard_code"] == "corrupt_header"
        assert content(rows)[:-1] == WHOLE[: max(0, len(rows) - 1)]


def test_names_of_every_kind_are_carried(tmp_path: Any) -> None:
    names = [
        "../up.jpg",
        "/abs.jpg",
        "sp ace.jpg",
        "tab\t.jpg",
        "new\nline.jpg",
        "\x1b[31m.jpg",
        "\u202egpj.jpg",
        "ü" * 40 + ".jpg",
    ]
    rows, control = read(tar_of([(name, b"x") for name in names]))
    assert [row["key"] for row in rows] == [
        name.removesuffix(".jpg") if name != "../up.jpg" else "../up" for name in names
    ]
    assert control["shard_state"] == "done"
