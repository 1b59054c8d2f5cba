"""Energy, money and carbon of a job from measured time and stated factors. Pure; what is unknown is never zero.

energy of the machines = power x time; at the meter = that x PUE; carbon = at the meter x grid factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.footprint_factors import Factor, FootprintFactors
from jobs.gpu_energy import GpuEnergy
from jobs.measured_time import MeasuredTime

JOULES_PER_KWH = 3.6e6
_PER_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One result, or why there is none."""

    name: str
    unit: str
    value: float | None
    """None: unknown."""
    per_1000_ok_rows: float | None
    how: str
    """How it was computed; of an unknown one, what is missing."""
    lower_bound: bool = False
    """Some attempts left no time."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """All quantities, in the order in which they follow from each other, and the factors that were stated."""

    ok_rows: int
    quantities: tuple[Quantity, ...]
    factors: dict[str, Factor]

    def of(self, name: str) -> Quantity:
        """Return a quantity by name."""
        return next(quantity for quantity in self.quantities if quantity.name == name)

    def document(self) -> dict[str, Any]:
        """Return plain JSON values; unknown ones are null."""
        return {
            "ok_rows": self.ok_rows,
            "quantities": [vars(quantity) for quantity in self.quantities],
            "factors": {name: factor.model_dump(mode="json") for name, factor in self.factors.items()},
        }


def footprint(time: MeasuredTime, energy: GpuEnergy, factors: FootprintFactors, *, ok_rows: int) -> Footprint:
    """Return what follows from time and energy that were measured and the factors that were stated."""
    make = _Maker(time, ok_rows, {"joules": _uncounted(energy), "gpus": _uncounted(energy)})
    hours = make("time", "h", "sum over attempts, start and loading included", _hours, seconds=time.seconds)
    gpus = make(
        "gpu_energy",
        "kWh",
        f"counted by NVML ({energy.scope}), whole devices, while model processes ran",
        lambda joules: joules / JOULES_PER_KWH,
        joules=energy.joules,
    )
    counted = [] if energy.joules_counted is None else [_counted_part(energy, energy.joules_counted)]
    if factors.power_without_gpus_w is not None:
        machines = make(
            "machine_energy",
            "kWh",
            "stated power x time + what NVML counted",
            lambda power, hours, gpus: power * hours / 1000 + gpus,
            power=_value(factors.power_without_gpus_w),
            hours=hours.value,
            gpus=gpus.value,
        )
    else:
        machines = make(
            "machine_energy",
            "kWh",
            "stated power x time",
            lambda power_w, hours: power_w * hours / 1000,
            power_w=_value(factors.power_w),
            hours=hours.value,
        )
    meter = make(
        "energy",
        "kWh",
        "energy of the machines x PUE",
        lambda machine_energy, pue: machine_energy * pue,
        machine_energy=machines.value,
        pue=_value(factors.pue),
    )
    carbon = make(
        "carbon",
        "g CO2e",
        "energy at the meter x grid factor; making the machines is not in it",
        lambda energy, grid: energy * grid,
        energy=meter.value,
        grid_g_per_kwh=_value(factors.grid_g_per_kwh),
    )
    electricity = make(
        "electricity_cost",
        factors.electricity_price.currency if factors.electricity_price else "money",
        "energy at the meter x price",
        lambda energy, price: energy * price,
        energy=meter.value,
        electricity_price=_value(factors.electricity_price),
    )
    rent = make(
        "machine_cost",
        factors.machine_price.currency if factors.machine_price else "money",
        "time x price; electricity may be in such a price, so the two costs are not added",
        lambda hours, price: hours * price,
        hours=hours.value,
        machine_price=_value(factors.machine_price),
    )
    stated = {name: getattr(factors, name) for name in FootprintFactors.model_fields}
    return Footprint(
        ok_rows=ok_rows,
        quantities=(hours, gpus, *counted, machines, meter, carbon, electricity, rent),
        factors={name: factor for name, factor in stated.items() if factor is not None},
    )


class _Maker:
    """Makes quantities that are unknown as soon as one thing they follow from is."""

    def __init__(self, time: MeasuredTime, ok_rows: int, words: Mapping[str, str]) -> None:
        """`words`: what to call needs that `_WORDS` does not name."""
        self._time, self._rows, self._words = time, ok_rows, {**_WORDS, **words}

    def __call__(
        self, name: str, unit: str, how: str, compute: Callable[..., float], /, **needs: float | None
    ) -> Quantity:
        missing = [need for need, value in needs.items() if value is None]
        value = None if missing else compute(*needs.values())
        return Quantity(
            name=name,
            unit=unit,
            value=value,
            per_1000_ok_rows=None if value is None or not self._rows else value / self._rows * _PER_ROWS,
            how=f"unknown: no {', no '.join(self._words.get(need, need) for need in missing)}" if missing else how,
            lower_bound=value is not None and self._time.is_lower_bound,
        )


_WORDS = {
    "seconds": "measured time",
    "hours": "measured time",
    "power": "power_without_gpus_w stated",
    "power_w": "power_w stated",
    "machine_energy": "energy of the machines",
    "pue": "pue stated",
    "energy": "energy at the meter",
    "grid_g_per_kwh": "grid_g_per_kwh stated",
    "electricity_price": "electricity_price stated",
    "machine_price": "machine_price stated",
}


def _uncounted(energy: GpuEnergy) -> str:
    """Say what is missing of the GPUs' energy, to go behind "no"."""
    if energy.joules_counted is None:
        return f"NVML count of the GPUs: {energy.scope}"
    return f"NVML count of every GPU, but of {energy.scope}"


def _counted_part(energy: GpuEnergy, joules: float) -> Quantity:
    """What was counted where that is not all: no figure of the job's, and so none per row."""
    return Quantity(
        name="gpu_energy_counted",
        unit="kWh",
        value=joules / JOULES_PER_KWH,
        per_1000_ok_rows=None,
        how=f"counted by NVML on {energy.scope}; what the others drew is unknown",
    )


def _hours(seconds: float) -> float:
    return seconds / 3600


def _value(factor: Factor | None) -> float | None:
    return None if factor is None else factor.value
