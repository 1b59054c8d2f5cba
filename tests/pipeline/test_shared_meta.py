"""What is stored with an image's first query is put back on all of them, and on no other image's."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from pipeline.shared_meta import with_meta_json


def test_every_query_has_what_came_with_its_image(make_table: Callable[..., pa.Table]) -> None:
    tables = [make_table({"000000-a": [row]}, queries=count) for row, count in enumerate([3, 1, 2])]
    table = pa.concat_tables(tables)
    stored = ["zero", None, None, None, "two", None]
    table = table.set_column(table.schema.get_field_index("meta_json"), "meta_json", pa.array(stored, pa.string()))
    filled = with_meta_json(table)
    assert filled["meta_json"].to_pylist() == ["zero", "zero", "zero", None, "two", "two"]
    assert filled.drop_columns("meta_json").equals(table.drop_columns("meta_json"))
    assert len(filled["meta_json"].chunk(0).dictionary) == 3, "an image's members are held once"


def test_an_empty_part_stays_empty(make_table: Callable[..., pa.Table]) -> None:
    assert len(with_meta_json(make_table({}))) == 0
