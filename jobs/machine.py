"""What this process may use of the machine, limits of containers included. Imports neither torch nor ray."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 1 << 30
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The usable part of one machine."""

    cores: int
    memory_gib: float
    """All memory this process and its children may use, in GiB."""
    memory_free_gib: float
    shm_gib: float | None
    """Size of /dev/shm in GiB; None where there is none (not Linux)."""


def this_machine(cgroup: Path = _CGROUP) -> Machine:
    """Return what may be used here: the smaller of the hardware, the CPU affinity and the container's limits."""
    memory = psutil.virtual_memory()
    limit = _memory_limit(cgroup)
    total, free = float(memory.total), float(memory.available)
    if limit is not None and limit < total:
        used = _number(cgroup / "memory.current") or _number(cgroup / "memory/memory.usage_in_bytes") or 0.0
        total, free = limit, min(free, max(0.0, limit - used))
    shm = shutil.disk_usage("/dev/shm").total / GIB if os.path.isdir("/dev/shm") else None
    return Machine(cores=_cores(cgroup), memory_gib=total / GIB, memory_free_gib=free / GIB, shm_gib=shm)


def _cores(cgroup: Path) -> int:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(cgroup)
    return max(1, affinity if quota is None else min(affinity, math.floor(quota)))


def _cpu_quota(cgroup: Path) -> float | None:
    """CPUs that the container's quota allows (cgroup v2, then v1)."""
    words = _text(cgroup / "cpu.max").split()
    if len(words) == 2:
        return None if words[0] == "max" else float(words[0]) / float(words[1])
    quota, period = _number(cgroup / "cpu/cpu.cfs_quota_us"), _number(cgroup / "cpu/cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _memory_limit(cgroup: Path) -> float | None:
    """Bytes that the container may use (cgroup v2, then v1)."""
    return _number(cgroup / "memory.max") or _number(cgroup / "memory/memory.limit_in_bytes")


def _number(path: Path) -> float | None:
    text = _text(path)
    return float(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    """Return the file's text; cgroup files that are absent or closed to us set no limit."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
