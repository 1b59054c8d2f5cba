"""Pieces end between images, and no image's rows have more than a piece may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.blocks import IMAGE_BYTES, PIECE_BYTES, TARGET_BLOCK_BYTES, cut_at_images, most_queries

Make = Callable[..., pa.Table]


def images_of(pieces: list[pa.Table]) -> list[Any]:
    return [tuple(pair) for piece in pieces for pair in dict.fromkeys(_images(piece))]


def _images(piece: pa.Table) -> list[Any]:
    return list(zip(piece["shard_id"].to_pylist(), piece["row_in_shard"].to_pylist(), strict=True))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 12), max_size=20), st.integers(1, 20_000))
def test_pieces_are_the_table_cut_between_images(make_table: Make, queries: list[int], piece_bytes: int) -> None:
    tables = [make_table({"000000-a": [row]}, queries=count) for row, count in enumerate(queries)]
    table = pa.concat_tables([*tables, make_table({}, {"000000-a": len(queries)})])
    pieces = list(cut_at_images(table, piece_bytes))
    assert pa.concat_tables(pieces).equals(table)
    assert len(images_of(pieces)) == len(set(images_of(pieces))), "an image is in two pieces"
    for piece in pieces:
        assert len(piece)
        assert piece.nbytes <= 1.2 * piece_bytes or len(set(_images(piece))) == 1


def test_a_small_table_is_one_piece(make_table: Make) -> None:
    table = make_table({"000000-a": range(5)}, {"000000-a": 5})
    assert [piece is table for piece in cut_at_images(table)] == [True]


def test_an_image_s_rows_fit_whatever_they_hold(make_table: Make) -> None:
    for key, uri, answer_bytes in [("k", "a.tar", 256), ("k" * 4000, "https://x/" + "u" * 2000, 256), (None, None, 99)]:
        most = most_queries(key, uri, answer_bytes=answer_bytes)
        table = make_table({"000000-a": [0]}, queries=most)
        long = pa.array(["x" * answer_bytes] * most)
        for name, value in {"key": key, "shard_uri": uri}.items():
            table = table.set_column(table.schema.get_field_index(name), name, pa.array([value] * most, pa.string()))
        table = table.set_column(table.schema.get_field_index("text"), "text", long)
        assert table.nbytes < IMAGE_BYTES
    assert most_queries("k" * (9 << 20), None, answer_bytes=0) == 1


def test_ray_never_has_to_cut_what_it_gathered() -> None:
    """It cuts from one and a half blocks on; before the last piece it had one block at most."""
    assert TARGET_BLOCK_BYTES + max(PIECE_BYTES, IMAGE_BYTES) < 1.5 * TARGET_BLOCK_BYTES


@pytest.mark.parametrize("piece_bytes", [1, 10_000])
def test_control_rows_stay_where_they_are(make_table: Make, piece_bytes: int) -> None:
    table = pa.concat_tables([make_table({}, {"000000-a": 0}), make_table({"000001-b": [0]}, {"000001-b": 1})])
    assert pa.concat_tables(cut_at_images(table, piece_bytes)).equals(table)
