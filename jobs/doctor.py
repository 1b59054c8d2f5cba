"""Checks of this machine before a job, each with what to do about it. torch and ray are imported on demand."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from jobs.machine import GIB, Machine, this_machine

Level = Literal["ok", "warn", "fail"]
MIN_MEMORY_GIB = 2.0
MIN_DISK_GIB = 1.0
LOW_DISK_GIB = 10.0
LOW_SHM_GIB = 1.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding."""

    name: str
    level: Level
    found: str
    remedy: str = ""
    """What to do; empty when all is well."""


def examine(*, output: str | None = None, with_ray: bool = False, with_model: bool = False) -> Iterator[Check]:
    """Yield one `Check` after the other, the quick ones first; a check that breaks is a failed check."""
    machine = this_machine()
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", check_python),
        *[(f"package {r.name}", lambda r=r: check_package(r)) for r in required_packages()],
        ("cores", lambda: check_cores(machine)),
        ("memory", lambda: check_memory(machine)),
        ("shared memory", lambda: check_shared_memory(machine)),
        ("disk for temporary files", lambda: check_disk("disk for temporary files", tempfile.gettempdir())),
    ]
    if output is None or "://" not in output:
        checks.append(("disk for output", lambda: check_disk("disk for output", output or os.getcwd())))
    checks.append(("accelerator", check_accelerator))
    if with_model:
        checks.append(("model", check_model))
    if with_ray:
        checks.append(("ray", check_ray))
    for name, check in checks:
        try:
            yield check()
        except Exception as error:
            yield Check(name=name, level="fail", found=f"{type(error).__name__}: {error}", remedy="see the message")


def check_line(check: Check) -> str:
    """Return a check as one line, with what to do where something is wrong."""
    remedy = f" -> {check.remedy}" if check.remedy else ""
    return f"{check.level:<5} {check.name}: {check.found}{remedy}"


def check_python() -> Check:
    """The interpreter is one that the package supports."""
    wanted = importlib.metadata.metadata("mue")["Requires-Python"]
    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Check(name="python", level="ok", found=f"{version} ({sys.platform}, {platform.machine()})")
    return Check(name="python", level="fail", found=version, remedy=f"install Python {wanted}")


def required_packages() -> list[Requirement]:
    """Return the packages that a job needs, extras left out."""
    requirements = [Requirement(text) for text in importlib.metadata.requires("mue") or []]
    return [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]


def check_package(requirement: Requirement) -> Check:
    """A required package is installed in a version that fits."""
    name, install = f"package {requirement.name}", f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, level="fail", found="not installed", remedy=install)
    if requirement.specifier.contains(version, prereleases=True):
        return Check(name=name, level="ok", found=version)
    return Check(name=name, level="fail", found=f"{version}, needs {requirement.specifier}", remedy=install)


def check_cores(machine: Machine) -> Check:
    """There are enough CPU cores for reads beside the model."""
    found = f"{machine.cores} usable"
    if machine.cores >= 2:
        return Check(name="cores", level="ok", found=found)
    return Check(name="cores", level="warn", found=found, remedy="a job runs, but reads and the model share one core")


def check_memory(machine: Machine) -> Check:
    """One actor and Ray's own processes fit."""
    found = f"{machine.memory_free_gib:.1f} GiB free of {machine.memory_gib:.1f}"
    if machine.memory_free_gib >= MIN_MEMORY_GIB:
        return Check(name="memory", level="ok", found=found)
    return Check(
        name="memory", level="warn", found=found, remedy=f"free some: a small job needs about {MIN_MEMORY_GIB:.0f} GiB"
    )


def check_shared_memory(machine: Machine) -> Check:
    """Ray's object store has room in /dev/shm; without it, it falls back to the disk."""
    if machine.shm_gib is None:
        return Check(name="shared memory", level="ok", found="no /dev/shm on this system")
    found = f"/dev/shm {machine.shm_gib:.1f} GiB"
    if machine.shm_gib >= LOW_SHM_GIB:
        return Check(name="shared memory", level="ok", found=found)
    return Check(
        name="shared memory", level="warn", found=found, remedy="in a container, start it with --shm-size=2g or more"
    )


def check_disk(name: str, folder: str) -> Check:
    """The disk that holds `folder` has room."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free_gib = shutil.disk_usage(place).free / GIB
    found = f"{free_gib:.1f} GiB free at {place}"
    if not os.access(place, os.W_OK):
        return Check(
            name=name, level="fail", found=f"no permission to write at {place}", remedy="choose another folder"
        )
    if free_gib >= LOW_DISK_GIB:
        return Check(name=name, level="ok", found=found)
    level: Level = "warn" if free_gib >= MIN_DISK_GIB else "fail"
    return Check(name=name, level=level, found=found, remedy="free some space or choose another folder")


def check_accelerator() -> Check:
    """torch can be imported; says which devices it sees."""
    import torch

    if not torch.cuda.is_available():
        return Check(name="accelerator", level="ok", found=f"none; the CPU is used ({torch.get_num_threads()} threads)")
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    found = ", ".join(f"{device.name} {device.total_memory / GIB:.0f} GiB" for device in devices)
    return Check(name="accelerator", level="ok", found=found)


def check_model() -> Check:
    """The seeded model answers one synthetic image."""
    import numpy as np

    from mue_model.config import EngineConfig, GenerationConfig
    from mue_model.loading import build_engine
    from mue_model.rows import RowInput
    from mue_model.seeded import seeded_facts

    began = time.monotonic()
    facts = seeded_facts()
    side = facts.processor.image_size
    pixels = np.indices((side, side, 3)).sum(axis=0).astype(np.uint8)
    engine = build_engine(facts, facts.exits("default"), GenerationConfig(), EngineConfig())
    try:
        row = RowInput(uid="000000-doctor/0/0", pixels=pixels, prompt_ids=facts.processor.prompt_ids("caption"))
        (result,) = engine.submit([row]).result(timeout=120)
    finally:
        engine.close()
    if result.error is not None:
        return Check(
            name="model", level="fail", found=f"{result.error.code}: {result.error.message}", remedy="see above"
        )
    found = f"the seeded model answered one image in {time.monotonic() - began:.1f} s, loading included"
    return Check(name="model", level="ok", found=found)


def check_ray() -> Check:
    """A local Ray starts and runs a task."""
    import ray

    began = time.monotonic()
    if ray.is_initialized():
        return Check(name="ray", level="ok", found="already running in this process")
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        answer = ray.get(ray.remote(lambda: os.getpid()).remote(), timeout=120)
    finally:
        ray.shutdown()
    level: Level = "ok" if answer != os.getpid() else "fail"
    return Check(name="ray", level=level, found=f"ran a task, start included, in {time.monotonic() - began:.1f} s")
