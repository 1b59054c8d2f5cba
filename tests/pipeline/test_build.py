"""How the chain asks Ray for resources; what it makes of shards is in `tests/integration/test_build.py`."""

from __future__ import annotations

from dataclasses import replace

from cluster import local
from pipeline import build
from pipeline.actor_audit import ActorAudit
from pipeline.shadow_selection import ShadowSelection
from pipeline.spec import ActorsConfig


def test_the_layout_of_a_machine_counts_with_the_tokens_that_the_chain_takes() -> None:
    asked = (build.READ_CPUS, build.DECODE_CPUS, build.WRITE_CPUS)
    assert asked == (local.READ_CPUS, local.DECODE_CPUS, local.WRITE_CPUS)


def test_neighbouring_stages_ask_for_different_tokens_so_that_ray_does_not_fuse_them() -> None:
    assert build.READ_CPUS != build.DECODE_CPUS


def test_calls_that_wait_for_shadows_leave_enough_others() -> None:
    rule = ShadowSelection(seed=0, rates={"deep": 0.1}, encoder_layers=6, decoder_layers=4)
    actors = ActorsConfig(concurrent_calls=5)
    assert build._with_shadows(actors, ActorAudit(shadows=rule)).concurrent_calls == 8
    for audit in (None, ActorAudit(shadows=replace(rule, rates={}), windows=3)):
        assert build._with_shadows(actors, audit) == actors


def test_the_pool_is_warmed_at_its_smallest_size_and_takes_several_calls_an_actor() -> None:
    pool = build._pool(ActorsConfig(min=2, max=5, concurrent_calls=3))
    assert (pool.min_size, pool.max_size, pool.initial_size) == (2, 5, 2)
    assert pool.max_concurrent_calls_per_actor == 3
    assert pool.enable_true_multi_threading
    fixed = build._pool(ActorsConfig(min=2))
    assert (fixed.min_size, fixed.max_size) == (2, 2)


def test_writes_wait_for_no_cpu_and_are_bounded_by_the_actors_that_feed_them() -> None:
    for actors, most in ((ActorsConfig(min=2), 8), (ActorsConfig(min=2, max=5), 20)):
        writes = build._writes(actors)
        assert writes["ray_remote_args"]["num_cpus"] == 0, "another job may leave none"
        assert writes["concurrency"] == most
