"""What tells two jobs apart, named so that a user knows what to put back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.fingerprint import fingerprint_of
from pipeline.plan import Plan, plan_shards
from pipeline.plan_match import FingerprintMismatch, check_same_job, shard_differences


def test_the_same_fingerprint_is_the_same_job(make_plan: Callable[..., Plan]) -> None:
    check_same_job(make_plan("000000-a"), make_plan("000000-a"), where="out")


def test_a_plan_that_lost_a_shard_by_hand_is_refused_whatever_its_fingerprint_says(
    make_plan: Callable[..., Plan],
) -> None:
    plan = make_plan("000000-a", "000001-b")
    edited = plan.model_copy(update={"shards": plan.shards[:1]})
    with pytest.raises(FingerprintMismatch, match=r"out/plan.json was changed after .* shards added: 000001-b"):
        check_same_job(edited, plan, where="out")
    counted = [shard.model_copy(update={"rows": 3, "rows_from": "counted"}) for shard in plan.shards]
    check_same_job(plan.model_copy(update={"shards": tuple(counted)}), plan, where="out")


def test_another_audit_is_refused_for_it_could_follow_the_answers(make_plan: Callable[..., Plan]) -> None:
    present = make_plan("000000-a")
    for changes, words in (
        ({"audit_seed": 9}, "audit.seed 7 -> 9"),
        ({"audit_rates": {"deep": 0.5}}, "audit.rates {'shallow': 0.0} -> {'deep': 0.5}"),
        ({"audit_margin": 0.01}, "audit.margin None -> 0.01"),
        ({"audit_windows": 2}, "audit.windows 0 -> 2"),
    ):
        with pytest.raises(FingerprintMismatch) as caught:
            check_same_job(present, present.model_copy(update=changes), where="out")
        assert f"(there -> now): {words}. What is audited is fixed before the first row" in str(caught.value)


def test_every_setting_that_differs_is_named_with_both_values_and_the_way_out(make_plan: Callable[..., Plan]) -> None:
    old = {"exits": {"image": 0.9, "text": 1.0}, "task": "caption", "filters": {"min_side": 0}}
    new = {"exits": {"image": 0.8, "text": 1.0}, "task": "vqa", "filters": {}}
    plans = [make_plan("000000-a", fingerprint=fingerprint_of(parts), parts=parts) for parts in (old, new)]
    with pytest.raises(FingerprintMismatch) as caught:
        check_same_job(*plans, where="s3://b/out")
    assert str(caught.value) == (
        "s3://b/out holds a job with other inputs or settings (there -> now): exits.image: 0.9 -> 0.8; "
        'filters: (absent) -> {}; filters.min_side: 0 -> (absent); task: "caption" -> "vqa". '
        "Choose another --output, or go back to the settings and shards of that job"
    )


def test_a_rewritten_shard_is_named_with_both_sizes_and_times(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")
    os.utime(path, ns=(0, 1_600_000_000_000_000_000))
    old = plan_shards([str(path)])
    path.write_bytes(b"newer")
    os.utime(path, ns=(0, 1_600_000_001_500_000_000))
    new = plan_shards([str(path)])
    assert shard_differences(old, new) == [
        "shards changed: 000000-a (3 bytes of 2020-09-13 12:26:40.000000 UTC -> "
        "5 bytes of 2020-09-13 12:26:41.500000 UTC)"
    ]
    assert shard_differences(old, old) == []


def test_in_an_object_store_the_version_is_named(make_plan: Callable[..., Plan]) -> None:
    [old] = make_plan("000000-a").shards
    new = old.model_copy(update={"etag": "e2"})
    assert shard_differences([old], [new]) == [
        "shards changed: 000000-a (10,240 bytes, version e1 -> 10,240 bytes, version e2)"
    ]


def test_names_added_removed_and_moved_shards(make_plan: Callable[..., Plan]) -> None:
    old, new = make_plan("000000-a", "000001-b").shards, make_plan("000000-a", "000001-c").shards
    assert shard_differences(old, new) == ["shards added: 000001-c", "shards removed: 000001-b"]
    moved = [old[0].model_copy(update={"url": "/elsewhere/a.tar"}), old[1]]
    assert shard_differences(old, moved) == ["shards changed: 000000-a (/corpus/a.tar -> /elsewhere/a.tar)"]


def test_a_count_that_is_known_now_is_no_change(make_plan: Callable[..., Plan]) -> None:
    [shard] = make_plan("000000-a").shards
    assert shard_differences([shard], [shard.model_copy(update={"rows": 3})]) == []
