"""How the chain asks Ray for resources, and what it says when Ray gives up."""

from __future__ import annotations

from ray.exceptions import (
    ActorDiedError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from cluster import local
from pipeline import build
from pipeline.spec import ActorsConfig
from pipeline.storage import StorageError


def test_the_layout_of_a_machine_counts_with_the_tokens_that_the_chain_takes() -> None:
    asked = (build.READ_CPUS, build.DECODE_CPUS, build.WRITE_CPUS)
    assert asked == (local.READ_CPUS, local.DECODE_CPUS, local.WRITE_CPUS)


def test_neighbouring_stages_ask_for_different_tokens_so_that_ray_does_not_fuse_them() -> None:
    assert build.READ_CPUS != build.DECODE_CPUS


def test_the_pool_is_warmed_at_its_smallest_size_and_takes_several_calls_an_actor() -> None:
    pool = build._pool(ActorsConfig(min=2, max=5, concurrent_calls=3))
    assert (pool.min_size, pool.max_size, pool.initial_size) == (2, 5, 2)
    assert pool.max_concurrent_calls_per_actor == 3
    assert pool.enable_true_multi_threading
    fixed = build._pool(ActorsConfig(min=2))
    assert (fixed.min_size, fixed.max_size) == (2, 2)


def test_the_cause_is_the_last_line_of_a_remote_traceback() -> None:
    assert build._cause(RayError("Traceback\n  File x\n\nValueError: no such thing\n\n")) == "ValueError: no such thing"
    assert build._cause(RayError("")) == "RayError"


def test_what_a_task_raised_is_not_buried_under_ray_s_advice() -> None:
    advice = "the disk is full\nTo change retry attempts, configure `DataContext`"
    ours = RayTaskError("write", advice, StorageError("the disk is full"))
    assert build._cause(ours) == build._cause(ours.as_instanceof_cause()) == "the disk is full"
    assert build._cause(RayTaskError("write", advice, ValueError("no such thing"))) == "ValueError: no such thing"


def test_a_death_is_told_from_a_start_that_raised() -> None:
    assert build._failed(ActorDiedError()).died
    assert build._failed(WorkerCrashedError()).died
    assert not build._failed(RayActorError(actor_init_failed=True)).died
    assert not build._failed(RayError("ValueError: no such thing")).died
    with_cause = RayError("the dataset failed")
    with_cause.__cause__ = OutOfMemoryError("killed")
    assert build._failed(with_cause).died
