"""Rows before a job has run, and how they are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.row_estimate import estimate_rows
from pipeline.plan import Plan, PlannedShard
from pipeline.row_totals import RowSource
from pipeline.spec import FieldsConfig


@pytest.fixture
def plan() -> Callable[..., Plan]:
    def make(*shards: tuple[int, int | None, RowSource | None]) -> Plan:
        planned = tuple(
            PlannedShard(shard_id=f"{i:06d}-a", url=f"/a{i}.tar", size=size, etag="1", rows=rows, rows_from=source)
            for i, (size, rows, source) in enumerate(shards)
        )
        return Plan(
            shards=planned, fingerprint="f", fingerprint_parts={}, audit_seed=0, audit_rates={}, fields=FieldsConfig()
        )

    return make


def test_what_is_known_is_exact(plan: Callable[..., Plan]) -> None:
    found = estimate_rows(plan((100, 3, "counted"), (100, 4, "footer"), (0, 0, "counted"), (9, 5, "listed")), None)
    assert (found.rows, found.exact) == (12, True)
    assert found.by_source == {"counted": 3, "footer": 4, "listed": 5}


def test_unknown_shards_are_taken_to_be_like_the_known_tars(plan: Callable[..., Plan]) -> None:
    shards = [(1000, 10, "side-car"), (500, None, None), (10, 9999, "footer")]
    found = estimate_rows(plan(*shards), sampled_bytes_per_image=1.0)
    assert (found.estimated_images, found.estimated_shards, found.bytes_per_image) == (5, 1, 100.0)
    assert (found.rows, found.exact) == (10_014, False)


def test_without_any_the_sample_tells(plan: Callable[..., Plan]) -> None:
    found = estimate_rows(plan((1000, None, None), (1000, None, None)), sampled_bytes_per_image=250.0)
    assert (found.rows, found.estimated_shards) == (8, 2)
    nothing = estimate_rows(plan((1000, None, None)), sampled_bytes_per_image=None)
    assert (nothing.rows, nothing.exact) == (0, False)


def test_a_side_car_is_not_exact(plan: Callable[..., Plan]) -> None:
    assert not estimate_rows(plan((1000, 10, "side-car")), None).exact


def test_images_with_several_queries_are_as_many_rows_and_an_estimate(plan: Callable[..., Plan]) -> None:
    found = estimate_rows(plan((1000, 10, "counted")), None, rows_per_image=2.5)
    assert (found.images, found.rows, found.exact) == (10, 25, False)
