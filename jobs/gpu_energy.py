"""Energy that this machine's GPUs drew between two moments, as NVML counts it; None where it does not count.

Whole devices: what others ran on them meanwhile is in it. GPUs of other machines are not.
"""

from __future__ import annotations

import importlib
from typing import Any


class GpuEnergy:
    """Reads every device's counter now and again at the end."""

    def __init__(self, nvml: Any = None) -> None:
        """Begin counting; `nvml` is `pynvml` where it is installed, unless another is given."""
        self._nvml = nvml if nvml is not None else _pynvml()
        self._began = self._millijoules()

    def joules(self) -> dict[str, Any] | None:
        """Return what was drawn since, with how many devices that is; None where nothing counts, or devices changed."""
        now = self._millijoules()
        if not now or now.keys() != self._began.keys() or any(now[uuid] < self._began[uuid] for uuid in now):
            return None
        drawn = sum(now[uuid] - self._began[uuid] for uuid in now)
        return {"joules": drawn / 1000, "devices": len(now), "method": "NVML total energy counter, whole devices"}

    def _millijoules(self) -> dict[str, int]:
        """Every device's counter by its UUID; empty where NVML, a driver or a counter is missing."""
        nvml = self._nvml
        if nvml is None:
            return {}
        try:
            nvml.nvmlInit()
            try:
                handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
                return {
                    str(nvml.nvmlDeviceGetUUID(handle)): int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
                    for handle in handles
                }
            finally:
                nvml.nvmlShutdown()
        except nvml.NVMLError:
            return {}


def _pynvml() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None
