"""Energy counters of this machine's GPUs, as NVML keeps them; empty where it does not count.

Whole devices: what others run on one meanwhile is in its counter. GPUs of other machines are not.
"""

from __future__ import annotations

import importlib
from typing import Any


class GpuCounters:
    """Reads every device's counter, which only ever grows until the driver is loaded anew."""

    def __init__(self, nvml: Any = None) -> None:
        """`nvml` is `pynvml` where it is installed, unless another is given."""
        self._nvml = nvml if nvml is not None else _pynvml()

    def millijoules(self) -> dict[str, int]:
        """Return every device's counter by its UUID; empty where NVML, a driver or a counter is missing."""
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
