"""How long a job may take and what it may cost, from what a sample took. Plain arithmetic; every figure says how."""

from __future__ import annotations

from dataclasses import dataclass

READ_TASKS_PER_CORE = 1.0
"""Reads at a time, as far as they hold others up: a read waits for storage more than it computes."""
DECODE_TASKS_PER_CORE = 0.5
"""Decode tasks at a time beside actors on the same cores; with GPUs all cores decode."""
START_S = 15.0
"""Start of Ray and of a pipeline on one machine, beside the loading of the model."""


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """What was measured."""

    read_ms: float | None
    """Of one row, in one task."""
    decode_ms: float | None
    rows_per_s: float | None
    """Of one actor."""
    load_s: float


@dataclass(frozen=True, kw_only=True)
class TimeEstimate:
    """What a job may take; None where nothing could be measured."""

    wall_s: float | None
    bound_by: str | None
    """The slowest stage: read, decode or answer."""
    stages: dict[str, float]
    """Rows per second that each measured stage can give, all its tasks together."""
    device_hours: float | None
    """Of CPU cores, or of GPUs."""
    device: str
    """`CPU core` or `GPU`."""
    cost: float | None
    """None where no price was given."""


def estimate_time(
    rows: int, speeds: Speeds, *, actors: int, cores: int, on_gpu: bool, price_per_hour: float | None, pools: int = 1
) -> TimeEstimate:
    """Return the time that the slowest stage needs for all rows; the others run beside it.

    Args:
        rows: Of the job.
        speeds: Of one task or actor.
        actors: With GPUs each has one; on a CPU they share the cores, and more of them are not faster.
        cores: Of the machine.
        on_gpu: Whether the model runs on GPUs.
        price_per_hour: Of everything that the job runs on.
        pools: How often actors are started, one pool after another.
    """
    stages = {}
    if speeds.read_ms:
        stages["read"] = 1000 / speeds.read_ms * max(1.0, cores * READ_TASKS_PER_CORE)
    if speeds.decode_ms:
        stages["decode"] = 1000 / speeds.decode_ms * (cores if on_gpu else max(1.0, cores * DECODE_TASKS_PER_CORE))
    if speeds.rows_per_s:
        stages["answer"] = speeds.rows_per_s * (actors if on_gpu else 1)
    device = "GPU" if on_gpu else "CPU core"
    if "answer" not in stages:
        return TimeEstimate(wall_s=None, bound_by=None, stages=stages, device_hours=None, device=device, cost=None)
    bound_by = min(stages, key=lambda stage: stages[stage])
    wall_s = pools * (START_S + speeds.load_s) + rows / stages[bound_by]
    hours = wall_s / 3600
    return TimeEstimate(
        wall_s=wall_s,
        bound_by=bound_by,
        stages=stages,
        device_hours=hours * (actors if on_gpu else cores),
        device=device,
        cost=None if price_per_hour is None else hours * price_per_hour,
    )
