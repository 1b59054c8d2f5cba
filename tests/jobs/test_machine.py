from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.machine import GIB, this_machine


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_without_a_container_the_hardware_counts(tmp_path: Path) -> None:
    machine = this_machine(tmp_path)
    assert machine.cores == len(os.sched_getaffinity(0))
    assert 0 < machine.memory_free_gib <= machine.memory_gib


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "50000 100000", "memory.max": str(GIB // 4), "memory.current": str(GIB // 8)},
        {
            "cpu/cpu.cfs_quota_us": "50000",
            "cpu/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": str(GIB // 4),
            "memory/memory.usage_in_bytes": str(GIB // 8),
        },
    ],
)
def test_a_containers_limits_count(tmp_path: Path, files: dict[str, str]) -> None:
    machine = this_machine(folder(tmp_path, files))
    assert machine.cores == 1
    assert machine.memory_gib == 0.25
    assert machine.memory_free_gib == 0.125


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "max 100000", "memory.max": "max"},
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        {"memory/memory.limit_in_bytes": "9223372036854771712"},
    ],
)
def test_no_limit_is_no_limit(tmp_path: Path, files: dict[str, str]) -> None:
    machine = this_machine(folder(tmp_path, files))
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.memory_gib < 1 << 20
