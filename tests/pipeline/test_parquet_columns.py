"""Which column is the image: said, or clear, or refused with the columns there are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.parquet_columns import ColumnError, image_columns

SUFFIXES = ("jpg", "png")
BYTES, TEXT, NUMBER = pa.binary(), pa.string(), pa.int64()
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


@pytest.mark.parametrize(
    ("columns", "image", "form"),
    [
        ({"image": STRUCT, "caption": TEXT}, "image", "struct"),
        ({"image": BYTES, "url": TEXT}, "image", "bytes"),
        ({"Image": pa.large_binary()}, "Image", "bytes"),
        ({"jpg": pa.binary_view(), "txt": TEXT}, "jpg", "bytes"),
        ({"url": TEXT, "caption": TEXT}, "url", "path"),
        ({"path": pa.large_string()}, "path", "path"),
        ({"image": pa.dictionary(pa.int32(), TEXT)}, "image", "path"),
        ({"image": pa.dictionary(pa.int32(), BYTES)}, "image", "bytes"),
        ({"image": NUMBER, "img": BYTES}, "img", "bytes"),
    ],
)
def test_finds_what_is_clear(columns: dict[str, pa.DataType], image: str, form: str) -> None:
    found = image_columns(schema(**columns), named=None, suffixes=SUFFIXES)
    assert (found.image, found.form) == (image, form)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"image": BYTES, "jpg": BYTES},
            "columns image and jpg may all be the image; say which with inputs.fields.image",
        ),
        ({"url": TEXT, "path": TEXT}, "columns url and path may all be the image"),
        (
            {"caption": TEXT, "n": NUMBER},
            r"no column looks like an image; its columns are caption \(string\), n \(int64\)",
        ),
        ({}, "its columns are none"),
        ({"image": pa.list_(BYTES)}, "no column looks like an image"),
    ],
)
def test_refuses_what_is_not(columns: dict[str, pa.DataType], message: str) -> None:
    with pytest.raises(ColumnError, match=message):
        image_columns(schema(**columns), named=None, suffixes=SUFFIXES)


def test_a_named_column_wins_and_must_fit() -> None:
    columns = schema(url=TEXT, picture=BYTES, path=TEXT, score=NUMBER, scans=pa.list_(BYTES))
    assert image_columns(columns, named="path", suffixes=SUFFIXES).form == "path"
    assert image_columns(columns, named="picture", suffixes=SUFFIXES).form == "bytes"
    with pytest.raises(ColumnError, match=r"no column 'pictures'; its columns are url \(string\)"):
        image_columns(columns, named="pictures", suffixes=SUFFIXES)
    with pytest.raises(ColumnError, match="column 'score' is of type int64"):
        image_columns(columns, named="score", suffixes=SUFFIXES)
    with pytest.raises(ColumnError, match="column 'scans' is of type list"):
        image_columns(columns, named="scans", suffixes=SUFFIXES)


def test_other_columns_pass_unless_bytes_are_in_them() -> None:
    nested = pa.list_(pa.struct([("thumbnail", BYTES)]))
    found = image_columns(
        schema(image=STRUCT, key=TEXT, caption=TEXT, mask=BYTES, pages=nested, tags=pa.map_(TEXT, NUMBER)),
        named=None,
        suffixes=SUFFIXES,
    )
    assert found.passed == ("key", "caption", "tags")
    assert found.key == "key"
    assert found.read == ["image", "key", "caption", "tags"]


def test_columns_of_one_name_are_refused() -> None:
    twice = pa.schema([("image", BYTES), ("a", TEXT), ("a", NUMBER)])
    with pytest.raises(ColumnError, match="columns are there twice: a"):
        image_columns(twice, named=None, suffixes=SUFFIXES)
