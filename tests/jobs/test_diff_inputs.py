from __future__ import annotations

from typing import Any

import pytest

from jobs.diff_inputs import paired_inputs
from mue_model.config import ConfigError
from pipeline.plan import Plan, PlannedShard


def _plan(job: Any, *shards: tuple[str, int], inputs: str | None = None) -> Plan:
    planned = tuple(
        PlannedShard(shard_id=f"{number:06d}-x", url=url, size=size, etag=f"{number}")
        for number, (url, size) in enumerate(shards)
    )
    parts = {**job.plan.fingerprint_parts, **({"inputs": {"digest": inputs}} if inputs else {})}
    found: Plan = job.plan.model_copy(update={"shards": planned, "fingerprint_parts": parts})
    return found


def test_equal_plans_are_paired_in_order(job: Any) -> None:
    a = _plan(job, ("in/a.tar", 1), ("in/b.tar", 2), inputs="d")
    found = paired_inputs(a, a)
    assert found.same_plan
    assert [left.url for left, right in found.pairs if left == right] == ["in/a.tar", "in/b.tar"]


def test_a_copy_elsewhere_in_another_order_is_paired_by_name_and_size(job: Any) -> None:
    a = _plan(job, ("in/a.tar", 1), ("in/b.tar", 2), inputs="d")
    b = _plan(job, ("s3://copy/b.tar", 2), ("s3://copy/a.tar?version=3", 1), inputs="e")
    found = paired_inputs(a, b)
    assert not found.same_plan
    assert [(left.url, right.url) for left, right in found.pairs] == [
        ("in/a.tar", "s3://copy/a.tar?version=3"),
        ("in/b.tar", "s3://copy/b.tar"),
    ]


def test_shards_of_two_folders_with_one_name_are_not_paired_twice(job: Any) -> None:
    a = _plan(job, ("x/0.tar", 1), ("y/0.tar", 1))
    found = paired_inputs(a, _plan(job, ("z/0.tar", 1), ("w/0.tar", 1)))
    assert [(left.url, right.url) for left, right in found.pairs] == [("x/0.tar", "z/0.tar"), ("y/0.tar", "w/0.tar")]


def test_different_inputs_are_refused_and_compared_only_on_request(job: Any) -> None:
    a, b = _plan(job, ("in/a.tar", 1), ("in/b.tar", 2)), _plan(job, ("in/a.tar", 1), ("in/b.tar", 3))
    with pytest.raises(ConfigError, match=r"only in A: in/b\.tar; only in B: in/b\.tar\); add --common"):
        paired_inputs(a, b)
    found = paired_inputs(a, b, common=True)
    assert (len(found.pairs), found.only_a, found.only_b) == (1, ("in/b.tar",), ("in/b.tar",))
    with pytest.raises(ConfigError, match="no shard in common"):
        paired_inputs(a, _plan(job, ("in/c.tar", 1)), common=True)
