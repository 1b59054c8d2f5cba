from __future__ import annotations

from jobs.gpu_energy import GpuEnergy


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


def test_all_devices_are_counted_between_two_moments() -> None:
    nvml = _Nvml(1000, 5000)
    energy = GpuEnergy(nvml)
    nvml.counters = [4000, 5500]
    found = energy.joules()
    assert found is not None
    assert (found["joules"], found["devices"], nvml.open) == (3.5, 2, 0)


def test_unknown_where_a_counter_is_missing_went_back_or_a_device_is_new() -> None:
    nvml = _Nvml(1000)
    energy = GpuEnergy(nvml)
    nvml.counters = [10]
    assert energy.joules() is None
    nvml.counters = [2000, 1]
    assert energy.joules() is None
    nvml.fails = True
    assert energy.joules() is None
    assert GpuEnergy(_Nvml()).joules() is None
