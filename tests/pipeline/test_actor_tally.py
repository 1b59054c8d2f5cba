"""Where a process' time went adds up, and only `ok` rows and their shadows count."""

from __future__ import annotations

import threading

import pyarrow as pa

from pipeline.actor_tally import ActorTally
from pipeline.records import COMMIT_SCHEMA
from pipeline.timing_window import WindowTimes


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def tally(clock: Clock) -> ActorTally:
    return ActorTally(attempt="a1", actor="x", purpose="run", clock=clock)


def test_seconds_are_load_work_windows_or_idle_and_overlapping_calls_count_once() -> None:
    clock = Clock()
    found = tally(clock)
    clock.now += 5
    found.loaded(load_s=4, warm_up_s=1, device="cpu", threads=2)
    clock.now += 2  # idle
    with found.working():
        clock.now += 3
        with found.working():
            clock.now += 4
        assert not found.idle
    assert found.idle
    times = WindowTimes(first="exits", rows=40, exits_s=2, full_s=3, warm_s=1)
    clock.now += 6
    found.window(0, times, distinct=30, in_flight=10, drain_s=0.5, alone_s=6)
    with found.working():
        clock.now += 8
        process, window, totals = found.lines()
    assert (process["event"], process["load_s"], process["device"]) == ("process", 4, "cpu")
    assert (window["exits_s"], window["full_s"], window["rows_distinct"], window["drain_s"]) == (2, 3, 30, 0.5)
    assert (totals["actor_s"], totals["busy_s"], totals["windows_s"]) == (28, 15, 6)
    assert totals["idle_s"] == 2


def test_a_window_that_was_lost_is_a_line_without_times() -> None:
    found = tally(Clock())
    found.window(1, None, distinct=3, in_flight=1, drain_s=0, alone_s=2)
    [_, window, totals] = found.lines()
    assert (window["number"], window["lost"], "exits_s" in window) == (1, "a row failed", False)
    assert totals["windows_s"] == 2


def test_the_counter_of_the_own_gpu_is_read_before_loading_and_with_every_record() -> None:
    counters = {"GPU-a": 1000, "GPU-b": 5}
    found = ActorTally(attempt="a1", actor="x", purpose="run", node="n1", gpu_counters=lambda: counters)
    counters = {"GPU-a": 1700, "GPU-b": 9}
    found.loaded(load_s=4, warm_up_s=1, device="cuda:0", threads=2, gpu="GPU-a")
    counters = {"GPU-a": 2500, "GPU-b": 90}
    process, totals = found.lines()
    assert (process["node"], process["gpu"], process["gpu_millijoules"]) == ("n1", "GPU-a", 1000)
    assert totals["gpu_millijoules"] == 2500
    counters = {}
    assert found.lines()[-1]["gpu_millijoules"] is None, "NVML fails: unknown, not zero"


def test_a_process_on_a_cpu_counts_no_gpu() -> None:
    found = ActorTally(attempt="a1", actor="x", purpose="run", gpu_counters=lambda: {"GPU-a": 1000})
    found.loaded(load_s=4, warm_up_s=1, device="cpu", threads=2)
    assert not any("gpu_millijoules" in line for line in found.lines())


def test_ok_rows_and_shadows_are_counted_from_many_threads_beyond_64_bits() -> None:
    found, large = tally(Clock()), 2**62
    rows = [
        {"uid": "a", "status": "ok", "flops_executed": large},
        {"uid": "b", "status": "failed", "flops_executed": 7},
        {"uid": None, "shard_total": 2},
    ]
    table = pa.Table.from_pylist(rows, schema=COMMIT_SCHEMA)

    def call() -> None:
        for _ in range(25):
            found.answered(table)
            found.shadowed(selected=3, shadows=[{"flops": large}, {"flops": 1}])

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = found.lines()[-1]
    assert (totals["rows_ok"], totals["flops_ok"]) == (100, 100 * large)
    assert (totals["shadow_rows"], totals["shadow_lost"], totals["flops_shadow"]) == (200, 100, 100 * large + 100)
