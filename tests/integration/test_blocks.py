"""Ray's own block buffer, with pieces of any sizes: no image is ever in two blocks."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from ray.data._internal.output_buffer import BlockOutputBuffer, OutputBlockSizeOption

from pipeline.blocks import IMAGE_BYTES, TARGET_BLOCK_BYTES, cut_at_images
from pipeline.records import COMMIT_SCHEMA


def answered(sizes: list[int], *, row_bytes: int) -> pa.Table:
    """One image of each size in rows, with `row_bytes` of text a row."""
    images = [(number, query) for number, size in enumerate(sizes) for query in range(size)]
    columns = {
        "shard_id": pa.array(["000000-a"] * len(images)),
        "row_in_shard": pa.array([number for number, _ in images], pa.int64()),
        "query": pa.array([query for _, query in images], pa.int32()),
        "text": pa.array(["x" * row_bytes] * len(images)),
    }
    nulls = {field.name: pa.nulls(len(images), field.type) for field in COMMIT_SCHEMA}
    return pa.Table.from_pydict({**nulls, **columns}, schema=COMMIT_SCHEMA)


def blocks_of(calls: list[pa.Table], *, cut: bool) -> list[pa.Table]:
    buffer = BlockOutputBuffer(OutputBlockSizeOption.of(target_max_block_size=TARGET_BLOCK_BYTES))
    blocks = []
    for call in calls:
        for piece in cut_at_images(call) if cut else [call]:
            buffer.add_batch(piece)
            blocks += buffer.iter_ready_blocks()
    buffer.finalize()
    return blocks + list(buffer.iter_ready_blocks())


def images_in_two_blocks(blocks: list[pa.Table]) -> int:
    held = [set(block["row_in_shard"].to_pylist()) for block in blocks]
    return sum(map(len, held)) - len(set.union(*held))


@pytest.mark.parametrize("seed", range(4))
def test_no_image_is_in_two_blocks(seed: int) -> None:
    rng = random.Random(seed)
    row_bytes = 12_000
    most = IMAGE_BYTES // (row_bytes + 1200)
    calls, first = [], 0
    for _ in range(6):
        sizes = [rng.choice((1, 3, most // 3, most)) for _ in range(12)]
        table = answered(sizes, row_bytes=row_bytes)
        numbers = pa.array([number + first for number in table["row_in_shard"].to_pylist()], pa.int64())
        calls.append(table.set_column(table.schema.get_field_index("row_in_shard"), "row_in_shard", numbers))
        first += len(sizes)

    blocks = blocks_of(calls, cut=True)

    assert len(blocks) > 5
    assert sum(map(len, blocks)) == sum(map(len, calls))
    assert images_in_two_blocks(blocks) == 0
    assert images_in_two_blocks(blocks_of(calls, cut=False)) > 0, "whole calls are cut, or nothing is tested"
