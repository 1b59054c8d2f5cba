"""Energy of the GPUs that a job ran on, from what each model process read of its own GPU, on whatever machine it was.

A part is never the whole: where one process has no count, the energy of all of them is unknown, and why is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.metrics_lines import ProcessLines, process_lines
from pipeline.storage import Storage


@dataclass(frozen=True, kw_only=True)
class GpuEnergy:
    """What NVML counted, whole devices, from the start of each model process to its last record."""

    joules: float | None
    """Of all GPUs that model processes ran on; None: unknown, or there was none."""
    joules_counted: float | None
    """Of those that were counted, where these are not all; None where these are all, or none."""
    scope: str
    """Which GPUs were counted, of which; where nothing was, why."""


def gpu_energy(storage: Storage, *, processes_unknown: int) -> GpuEnergy:
    """Return what the processes of a job's runs wrote down; `processes_unknown` committed rows and left no record.

    Several processes may share a GPU, or follow each other on it: its counter counts once an attempt, from the first
    reading to the last.
    """
    found = process_lines(storage, purpose="run")
    on_gpus = [lines for lines in found if lines.process.get("device") != "cpu"]
    if not on_gpus and not processes_unknown:
        return _nothing("no model process ran on a GPU" if found else "no model process left a record")
    readings: defaultdict[tuple[str, str], list[ProcessLines]] = defaultdict(list)
    uncounted: list[ProcessLines] = []
    for lines in on_gpus:
        if _counted(lines):
            readings[lines.attempt, lines.process["gpu"]].append(lines)
        else:
            uncounted.append(lines)
    millijoules = 0
    for processes in readings.values():
        drawn = _drawn(processes)
        if drawn is None:
            uncounted += processes
        else:
            millijoules += drawn
    if len(uncounted) == len(on_gpus):
        return _nothing("no model process has one" if on_gpus else _unrecorded(processes_unknown))
    scope = _scope(on_gpus, uncounted, processes_unknown)
    whole = not uncounted and not processes_unknown
    joules = millijoules / 1000
    return GpuEnergy(joules=joules if whole else None, joules_counted=None if whole else joules, scope=scope)


def _nothing(why: str) -> GpuEnergy:
    return GpuEnergy(joules=None, joules_counted=None, scope=why)


def _counted(lines: ProcessLines) -> bool:
    process, totals = lines.process, lines.totals
    readings = (process.get("gpu_millijoules"), totals.get("gpu_millijoules"))
    return type(process.get("gpu")) is str and all(type(reading) is int for reading in readings)


def _drawn(processes: Sequence[ProcessLines]) -> int | None:
    """Millijoules of one GPU in one attempt; None where its counter went back: the driver was loaded anew."""
    pairs = [(lines.process["gpu_millijoules"], lines.totals["gpu_millijoules"]) for lines in processes]
    if any(last < first for first, last in pairs):
        return None
    return max(last for _, last in pairs) - min(first for first, _ in pairs)


def _scope(on_gpus: Sequence[ProcessLines], uncounted: Sequence[ProcessLines], unknown: int) -> str:
    """Say how many nodes and processes were counted of how many there were."""
    nodes = {lines.process.get("node") for lines in on_gpus}
    whole = nodes - {lines.process.get("node") for lines in uncounted}
    if not uncounted and not unknown:
        return f"{_many(len(nodes), 'node')}, {_many(len(on_gpus), 'model process')}"
    counted = len(on_gpus) - len(uncounted)
    said = f"{len(whole)} of {_many(len(nodes), 'node')}, {counted} of {_many(len(on_gpus), 'model process')}"
    return f"{said}; {_unrecorded(unknown)}" if unknown else said


def _unrecorded(unknown: int) -> str:
    return f"{_many(unknown, 'model process')} left no record of where {'it' if unknown == 1 else 'they'} ran"


def _many(count: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"
