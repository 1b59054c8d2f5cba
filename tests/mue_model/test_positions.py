"""Bucket indices and position ids against the published formulas, restated plainly."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mue_model.positions import head_products, image_buckets, image_position_ids, token_buckets


def published_bucket(distance: int, size: int) -> int:
    """The published rule for one distance, in Python's floats."""
    half = size // 2
    if abs(distance) <= half:
        return distance + size - 1
    far = half + math.ceil(math.log(abs(distance) / half) / math.log(1023 / half) * (half - 1))
    return int(math.copysign(far, distance)) + size - 1


def buckets_of(distances: range, size: int) -> list[int]:
    return token_buckets(torch.tensor(list(distances)), torch.tensor([0]), size)[:, 0].tolist()


@pytest.mark.parametrize("size", [256, 64, 6])
def test_every_distance_has_the_published_bucket(size: int) -> None:
    distances = range(-1023, 1024)
    assert buckets_of(distances, size) == [published_bucket(distance, size) for distance in distances]


def test_buckets_computed_by_hand() -> None:
    assert buckets_of(range(-3, 4), 256) == [252, 253, 254, 255, 256, 257, 258]
    # ceil(ln(d / 128) / ln(1023 / 128) * 127) + 128 + 255 for d = 129 and 512, the whole range for 1023
    assert [buckets_of(range(d, d + 1), 256) for d in (128, 129, 512, 1023)] == [[383], [384], [468], [510]]
    assert buckets_of(range(-1023, -1022), 256) == [0]


@settings(deadline=None, max_examples=50)
@given(size=st.integers(2, 512), far=st.integers(1, 1023))
def test_buckets_fit_the_table_and_are_ordered_and_antisymmetric(size: int, far: int) -> None:
    buckets = buckets_of(range(-far, far + 1), size)
    assert buckets == sorted(buckets)
    assert buckets[0] >= 0
    assert buckets[-1] <= 2 * size - 2
    assert all(a + b == 2 * size - 2 for a, b in zip(buckets, reversed(buckets), strict=True))


def test_queries_are_rows_and_keys_are_columns() -> None:
    buckets = token_buckets(torch.tensor([4, 5]), torch.tensor([0, 4, 5]), 256)
    assert buckets.tolist() == [[259, 255, 254], [260, 256, 255]]


def test_image_positions_go_row_by_row_in_the_largest_grid() -> None:
    assert image_position_ids((2, 3), 42).tolist() == [1, 2, 3, 43, 44, 45]


@pytest.mark.parametrize("grid", [(1, 43), (43, 1)])
def test_a_grid_beyond_the_largest_is_refused(grid: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{grid[0]} x {grid[1]} patches; the model has positions for 42 a side"):
        image_position_ids(grid, 42)
    assert image_position_ids((42, 42), 42).max() == 42 * 42


def test_image_buckets_hold_row_and_column_distance() -> None:
    buckets = image_buckets((2, 3), 42)
    assert buckets.shape == (6, 6)
    for query in range(6):
        for key in range(6):
            rows, columns = query // 3 - key // 3, query % 3 - key % 3
            assert buckets[query, key] == (rows + 41) * 83 + columns + 41
    largest = image_buckets((42, 42), 42)
    assert (largest.min(), largest.max()) == (0, 83 * 83 - 1)


def test_head_products_are_per_head() -> None:
    queries, keys = torch.randn(3, 8, dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    products = head_products(queries, keys, heads=2)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        torch.testing.assert_close(products[head], queries[:, part] @ keys[:, part].T)
