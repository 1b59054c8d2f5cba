"""How the chain asks Ray for resources; what it makes of shards is in `tests/integration/test_build.py`."""

from __future__ import annotations

from cluster import local
from pipeline import build
from pipeline.spec import ActorsConfig


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
