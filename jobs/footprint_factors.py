"""What only the user knows about energy, money and carbon: each figure with where it is from and from when.

Nothing is assumed: what is not stated stays unknown.
"""

from __future__ import annotations

import datetime
from typing import Self

from pydantic import Field, field_validator, model_validator

from jobs.spec import read_document
from mue_model.config import Config, parse_config

EXAMPLE = """\
power_w:            {value: 65, source: "wall meter, mean over the run", date: 2026-11-28}
pue:                {value: 1.3, source: "operator's yearly report", date: 2026-01-31}
grid_g_per_kwh:     {value: 380, source: "grid operator, yearly mean, CO2e", date: 2025-12-31}
electricity_price:  {value: 0.28, per: kWh, currency: EUR, source: "contract", date: 2026-01-01}
machine_price:      {value: 1.90, per: hour, currency: USD, source: "price list, on demand", date: 2026-11-01}
"""


class Factor(Config):
    """One stated figure."""

    value: float = Field(ge=0)
    source: str = Field(min_length=1)
    """Who says so: a meter, a data sheet, a contract."""
    date: datetime.date
    """From when the figure is."""

    @field_validator("source")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say where the figure is from, as in 'wall meter'")
        return value


class Ratio(Factor):
    """A power usage effectiveness: all power that the building takes over that of the machines."""

    value: float = Field(ge=1)


class Price(Factor):
    """Money per kilowatt-hour or machine-hour."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    """ISO 4217, as in EUR."""
    per: str = ""
    """`kWh` or `hour`; only for the reader."""


class FootprintFactors(Config):
    """All that may be stated; every figure may be left out, and what needs it is then unknown."""

    power_w: Factor | None = None
    """Mean draw in watts, while it runs, of all machines of the job together, GPUs included."""
    power_without_gpus_w: Factor | None = None
    """The same without GPUs, where NVML measured all of those during the run. Instead of power_w."""
    pue: Ratio | None = None
    """Power usage effectiveness of the place; 1 where nothing but the machine draws power."""
    grid_g_per_kwh: Factor | None = None
    """Grams of CO2e per kilowatt-hour of the grid that fed it."""
    electricity_price: Price | None = None
    """Money per kilowatt-hour at the meter of the place."""
    machine_price: Price | None = None
    """Money per hour for all machines of the job together."""

    @field_validator("electricity_price", "machine_price")
    @classmethod
    def _unit(cls, value: Price | None, info: object) -> Price | None:
        wanted = {"electricity_price": "kWh", "machine_price": "hour"}[getattr(info, "field_name", "")]
        if value is not None and value.per not in ("", wanted):
            raise ValueError(f"is per {value.per}; give it per {wanted}")
        return value

    @model_validator(mode="after")
    def _one_power(self) -> Self:
        if self.power_w is not None and self.power_without_gpus_w is not None:
            raise ValueError("give power_w, which includes GPUs, or power_without_gpus_w, not both")
        return self


def read_factors(path: str) -> FootprintFactors:
    """Return the factors in the YAML file `path`, or raise `ConfigError` naming what is wrong."""
    return parse_config(FootprintFactors, read_document(path), where=path)
