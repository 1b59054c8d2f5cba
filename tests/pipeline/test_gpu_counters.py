from __future__ import annotations

from pipeline.gpu_counters import GpuCounters


class _Nvml:
    """NVML's functions that are called, with counters that a test turns."""

    class NVMLError(Exception):
        pass

    def __init__(self, *millijoules: int) -> None:
        self.counters = list(millijoules)
        self.fails = False
        self.open = 0

    def nvmlInit(self) -> None:
        if self.fails:
            raise self.NVMLError("no driver")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.counters)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return self.counters[handle]


def test_every_device_is_read_and_nothing_stays_open() -> None:
    nvml = _Nvml(1000, 5000)
    assert GpuCounters(nvml).millijoules() == {"GPU-0": 1000, "GPU-1": 5000}
    assert nvml.open == 0


def test_without_devices_or_a_driver_nothing_is_counted() -> None:
    assert GpuCounters(_Nvml()).millijoules() == {}
    nvml = _Nvml(1000)
    nvml.fails = True
    assert GpuCounters(nvml).millijoules() == {}
