"""Queries of one image share its pixels; the image's failure is that of all its queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.fan_out import query_rows
from pipeline.records import decoded_schema

SIZE = 32
GOOD = {"status": "ok", "prompt_ids": [0, 7, 2]}


def decoded(*images: dict[str, Any]) -> pa.Table:
    """Decoded images with the queries that they are given; one without queries is a control row."""
    rows = []
    for number, image in enumerate(images):
        pixels = np.full((SIZE, SIZE, 3), number, np.uint8).tobytes()
        identity = {"shard_id": "000000-a", "pixels": pixels}
        if image.get("queries"):
            queries = [{"query": place, **query} for place, query in enumerate(image["queries"])]
            identity |= {"uid": f"000000-a/{number}/0", "row_in_shard": number, "query": 0, "task": "vqa"}
            image = {"status": "ok", "image_sha256": f"sha{number}", **image, "queries": queries}
        rows.append(identity | image)
    return pa.Table.from_pylist(rows, schema=decoded_schema(SIZE))


def test_every_query_is_a_row_under_its_own_uid_with_the_image_s_pixels() -> None:
    candidates = [{"label": "entailment", "ids": [5, 2]}, {"label": "neutral", "ids": [6, 2]}]
    table = decoded(
        {"queries": [GOOD | {"prompt": "p"}, {"status": "ok", "prompt_ids": [0, 8, 2], "candidates": candidates}]},
        {"queries": [GOOD]},
        {"shard_total": 2},
    )
    first, second, other, control = query_rows(table, SIZE)
    assert [row.columns.get("uid") for row in (first, second, other)] == [
        f"000000-a/{n}/{q}" for n, q in [(0, 0), (0, 1), (1, 0)]
    ]
    assert [row.columns["image_queries"] for row in (first, second, other)] == [2, 2, 1]
    assert (control.columns, control.asked, control.place) == ({}, None, 2)
    assert first.asked is not None
    assert second.asked is not None
    assert other.asked is not None
    assert np.shares_memory(first.asked.pixels, second.asked.pixels), "pixels are not copied"
    assert set(np.unique(other.asked.pixels)) == {1}
    assert (first.asked.image_key, second.asked.image_key, other.asked.image_key) == ("sha0", "sha0", "sha1")
    assert (first.asked.prompt_ids, second.asked.prompt_ids) == ((0, 7, 2), (0, 8, 2))
    assert [(found.label, found.ids) for found in second.asked.candidates] == [
        ("entailment", (5, 2)),
        ("neutral", (6, 2)),
    ]
    assert (first.asked.candidates, first.columns["prompt"], first.asked.task) == ((), "p", "vqa")


def test_a_query_that_failed_is_not_asked_and_its_neighbours_are() -> None:
    bad = {"status": "failed", "error_stage": "preprocess", "error_code": "bad_field", "error_message": "no text"}
    rows = query_rows(decoded({"queries": [GOOD, bad, GOOD]}), SIZE)
    assert [row.asked is not None for row in rows] == [True, False, True]
    assert (rows[1].columns["error_code"], rows[1].columns["error_message"]) == ("bad_field", "no text")
    assert rows[2].columns["error_code"] is None


def test_what_became_of_an_image_became_of_all_its_queries() -> None:
    broken = {"status": "failed", "error_stage": "decode", "error_code": "corrupt_image", "error_message": "cut"}
    small = {"status": "filtered", "error_message": "too small"}
    bad = {"status": "failed", "error_stage": "preprocess", "error_code": "bad_field", "error_message": "no text"}
    rows = query_rows(decoded({**broken, "queries": [GOOD, bad]}, {**small, "queries": [GOOD, GOOD]}), SIZE)
    assert [row.columns["error_code"] for row in rows] == ["corrupt_image", "corrupt_image", None, None]
    assert [row.columns["status"] for row in rows] == ["failed", "failed", "filtered", "filtered"]
    assert not any(row.asked for row in rows)
